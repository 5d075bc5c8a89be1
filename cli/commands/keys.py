"""keys: make, list, change and take back the keys that clients show to the router.

Only hashes are kept. They stand in the stack's file under ``paddock:router``, ``keys``, and come into force with
the next ``paddock up``; a running router takes them in without a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from cli.console import note, table, write, write_json
from cli.stack_edit import as_yaml, with_hash, with_key, without_key
from cli.stack_keys import StackKeys
from fleet_spec.errors import BadInputError
from fleet_spec.governance_spec import KeySpec, Scope
from fleet_spec.key_rules import PREVIOUS_SUFFIX, STACK_KEY, expiry_timestamp, owner_of
from fleet_spec.keys import hash_of, new_key

PRIORITIES = ("high", "normal", "low")


def new(
    name: str,
    stack: str,
    *,
    scopes: Sequence[str],
    models: Sequence[str],
    monthly_usd: float | None,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    priority: str | None,
    private: bool,
    expires: str | None,
    write_file: bool,
    as_json: bool,
) -> None:
    """Make a key, print it once, and say or write what the stack's file must have.

    Raises:
        BadInputError: the name is taken, or there is no such scope or priority.
        SpecError: what the key is to have cannot be, each mistake named.
    """
    opened = StackKeys.of(stack)
    if name in opened.keys:
        raise BadInputError(
            f"{opened.path.name} has a key {name!r} already. fix: paddock keys rotate {name} --write, or another name"
        )
    if name.endswith(PREVIOUS_SUFFIX):
        raise BadInputError(f"{name!r}: names that end in {PREVIOUS_SUFFIX} are for rotated keys. fix: another name")
    for given, known, option in (
        (scopes, get_args(Scope), "--scope"),
        ([priority or "normal"], PRIORITIES, "--priority"),
    ):
        for one in given:
            if one not in known:
                raise BadInputError(f"{option} {one!r} is none of {', '.join(known)}")
    key = new_key()
    spec = _without_none(
        {
            "hash": hash_of(key),
            "scopes": list(scopes),
            "models": list(models) or None,
            "monthlyUsd": _plain_number(monthly_usd),
            "requestsPerMinute": requests_per_minute,
            "tokensPerMinute": tokens_per_minute,
            "priority": priority,
            "private": private or None,
            "expires": expires,
        }
    )
    keys = {**opened.keys, name: spec}
    opened.check(keys)
    if write_file:
        opened.write(with_key(opened.text, name, spec), keys)
    _print_new(opened, key, {name: spec}, written=write_file, as_json=as_json)


def list_keys(stack: str, *, as_json: bool) -> None:
    """Print the keys of a stack's file: what they may do, and until when.

    Raises:
        SpecError: a key in the file cannot be used.
    """
    opened = StackKeys.of(stack)
    keys = {name: opened.spec(name) for name in opened.keys}
    now = datetime.now(UTC)
    if as_json:
        documents = [
            {
                "name": name,
                "state": _state(name, key, keys, now),
                **key.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"hash"}),
            }
            for name, key in keys.items()
        ]
        write_json({"stack": stack, "keys": documents})
        return
    rows = [
        [
            name,
            _state(name, key, keys, now),
            ", ".join(key.scopes),
            ", ".join(key.models) or "all",
            _limits(key),
            "private" if key.private else key.priority,
            key.expires or "never",
        ]
        for name, key in keys.items()
    ]
    table(["key", "state", "may", "models", "limits", "requests are", "expires"], rows)
    note(f"and {STACK_KEY!r}, which the stack makes itself where its router asks for keys")


def revoke(name: str, stack: str, *, write_file: bool, as_json: bool) -> None:
    """Take a key, and what rotation left of it, out of the stack's file.

    Raises:
        BadInputError: there is no such key.
    """
    opened = StackKeys.of(stack)
    opened.demand(name)
    gone = [one for one in (name, name + PREVIOUS_SUFFIX) if one in opened.keys]
    if write_file:
        text = opened.text
        for one in gone:
            text = without_key(text, one)
        opened.write(text, {key: spec for key, spec in opened.keys.items() if key not in gone})
    else:
        note(f"nothing is written: add --write, or remove {' and '.join(gone)} from {opened.path.name} by hand")
    if as_json:
        write_json({"stack": stack, "revoked": gone, "written": write_file})


def rotate(name: str, stack: str, *, overlap_hours: float, write_file: bool, as_json: bool) -> None:
    """Make a new key for a name. The old one goes on under ``NAME-previous`` for a while, counted as the same.

    Raises:
        BadInputError: there is no such key, or it has expired.
        SpecError: the key in the file cannot be used.
    """
    opened = StackKeys.of(stack)
    old = opened.demand(name)
    if name.endswith(PREVIOUS_SUFFIX):
        raise BadInputError(f"{name!r} is what a rotation left. fix: rotate {name.removesuffix(PREVIOUS_SUFFIX)}")
    now = datetime.now(UTC)
    ends_at = now + timedelta(hours=overlap_hours)
    expires = opened.spec(name).expires
    if expires is not None:
        expires_at = datetime.fromtimestamp(expiry_timestamp(expires), UTC)
        if expires_at <= now:
            raise BadInputError(
                f"{name!r} has expired at {expires!r}, and a new key would too. fix: write a later day first"
            )
        ends_at = min(ends_at, expires_at)
    key = new_key()
    changed: dict[str, Any] = {name: {**old, "hash": hash_of(key)}}
    previous = name + PREVIOUS_SUFFIX
    if overlap_hours > 0:
        changed[previous] = {**old, "expires": ends_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
    keys = {one: spec for one, spec in opened.keys.items() if one != previous} | changed
    opened.check(keys)
    if write_file:
        text = without_key(opened.text, previous) if previous in opened.keys else opened.text
        text = with_hash(text, name, hash_of(key))
        if previous in changed:
            text = with_key(text, previous, changed[previous])
        opened.write(text, keys)
    _print_new(opened, key, changed, written=write_file, as_json=as_json)
    if overlap_hours > 0:
        note(f"the old key of {name!r} is good until {changed[previous]['expires']}")


def _print_new(opened: StackKeys, key: str, changed: Mapping[str, Any], *, written: bool, as_json: bool) -> None:
    """Print a key, alone on stdout, so that it can be piped to where it is needed."""
    if not written:
        note(f"below paddock:router in {opened.path.name}, then paddock up --stack {opened.name}:")
        note(as_yaml({"keys": changed}, 4).rstrip())
    if as_json:
        write_json({"stack": opened.name, "key": key, "config": {"keys": changed}, "written": written})
        return
    note("the key is shown this once:")
    write(key)


def _state(name: str, key: KeySpec, keys: Mapping[str, KeySpec], now: datetime) -> str:
    if key.expires is not None and expiry_timestamp(key.expires) <= now.timestamp():
        return "expired"
    owner = owner_of(name, keys)
    return "in force" if owner == name else f"old key of {owner}"


def _limits(key: KeySpec) -> str:
    limits = [
        f"{value:g} {unit}"
        for value, unit in (
            (key.monthly_usd, "USD/month"),
            (key.requests_per_minute, "requests/min"),
            (key.tokens_per_minute, "tokens/min"),
        )
        if value is not None
    ]
    return ", ".join(limits) or "none"


def _plain_number(value: float | None) -> float | None:
    """The number as a person writes it: 20 and not 20.0."""
    return int(value) if value is not None and value.is_integer() else value


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
