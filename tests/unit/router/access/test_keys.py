"""Who is let in: keys of the contract, keys in files, none at all."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.access.access import Access
from agent_runtime.router.access.caller import ANONYMOUS, Caller
from agent_runtime.router.access.guesses import MOST_ADDRESSES, MOST_GUESSES, WINDOW_SECONDS, Guesses
from agent_runtime.router.access.secrets_directory import Secrets
from agent_runtime.router.access.shown_key import LONGEST_KEY_BYTES, shown_key
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.request import Request
from fleet_spec.contract import FleetContract
from fleet_spec.governance_spec import KeySpec
from fleet_spec.keys import hash_of, new_key

pytestmark = pytest.mark.unit

NEW_YEAR = 1_798_761_600.0  # 2027-01-01T00:00:00Z


class Clock:
    def __init__(self, now: float = NEW_YEAR) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def contract(tiers: dict[str, Any] | None = None, **keys: dict[str, Any]) -> FleetContract:
    url = "http://127.0.0.1:1"
    return FleetContract.from_mapping(
        {
            "version": 1,
            "stack": "test",
            "target": "local",
            "router": {"url": url, "openai": f"{url}/v1", "ollama": url, "metrics": f"{url}/metrics"},
            "models": {},
            "tiers": tiers or {},
            "keys": {name.replace("_", "-"): spec for name, spec in keys.items()},
        }
    )


def request(*headers: tuple[str, str], path: str = "/v1/chat/completions") -> Request:
    made = Request()
    made.method, made.path = "POST", path
    made.headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return made


def bearer(key: str) -> Request:
    return request(("Host", "localhost"), ("Authorization", f"Bearer {key}"), ("Accept", "*/*"))


def access(
    *, required: bool = True, clock: Clock | None = None, files: dict[str, str] | None = None, **keys: Any
) -> Access:
    made = Access(required=required, now=clock or Clock())
    assert made.update(contract(**keys), Secrets(files)) is None
    return made


def refusal(made: Access, asked: Request, scope: Any = "chat", address: str = "10.0.0.1") -> RequestError:
    with pytest.raises(RequestError) as caught:
        made.admit(asked, scope, address)
    return caught.value


# What a key allows


def test_a_key_of_the_contract_allows_what_it_says() -> None:
    key = new_key()
    made = access(
        ci={
            "hash": hash_of(key),
            "scopes": ["chat", "metrics"],
            "models": ["default"],
            "monthlyUsd": 20,
            "requestsPerMinute": 60,
            "priority": "low",
            "private": True,
        }
    )
    caller = made.admit(bearer(key), "chat")
    assert caller.name == "ci"
    assert caller.private
    assert caller.limited
    assert caller.monthly_usd == 20
    assert made.admit(bearer(key), "metrics") is caller
    assert made.names == ["ci"]


def test_a_key_in_a_file_allows_everything() -> None:
    key = new_key()
    caller = access(files={"default": key}).admit(bearer(key), "admin")
    assert (caller.name, caller.limited, caller.private) == ("default", False, False)
    assert caller.may_ask("anything")


@pytest.mark.parametrize("header", ["authorization", "api-key", "X-Api-Key"])
def test_a_key_may_come_in_any_header_that_clients_use(header: str) -> None:
    key = new_key()
    value = f"bearer  {key} " if header == "authorization" else key
    assert access(files={"default": key}).admit(request((header, value)), "chat").name == "default"


def test_the_same_key_may_come_twice_in_different_headers() -> None:
    key = new_key()
    both = request(("Authorization", f"Bearer {key}"), ("api-key", key))
    assert access(files={"default": key}).admit(both, "chat").name == "default"


def test_scope_that_is_missing_is_named() -> None:
    key = new_key()
    error = refusal(access(ci={"hash": hash_of(key)}), bearer(key), "admin")
    assert (error.status, error.code) == (403, "insufficient_scope")
    assert error.message == "the key 'ci' has no scope 'admin', only chat"


@pytest.mark.parametrize(
    ("asked", "models", "allowed"),
    [
        ("default", (), True),
        ("default:latest", (), True),
        ("tiny", (), True),
        ("tiny:latest", (), True),
        ("other", (), False),
        ("other", ("small",), True),
        ("other", ("small", "large"), False),
    ],
)
def test_models_are_allowed_by_name_or_by_what_stands_behind_it(
    asked: str, models: tuple[str, ...], allowed: bool
) -> None:
    caller = Caller("ci", models=frozenset({"default", "tiny:latest", "small"}))
    assert caller.may_ask(asked, models) is allowed
    if not allowed:
        with pytest.raises(RequestError, match="may ask for: default, small, tiny:latest") as caught:
            caller.demand_model(asked, models)
        assert caught.value.status == 403


@pytest.mark.parametrize(
    ("highest", "usual", "asked", "given_priority"),
    [
        ("high", "normal", None, "normal"),
        ("high", "normal", "HIGH", "high"),
        ("normal", "normal", "high", "normal"),
        ("normal", "normal", "low", "low"),
        ("low", "low", None, "low"),
        ("low", "low", "high", "low"),
    ],
)
def test_a_request_gets_at_most_the_priority_of_its_key(
    highest: Any, usual: Any, asked: str | None, given_priority: str
) -> None:
    assert Caller("ci", highest_priority=highest, usual_priority=usual).priority(asked) == given_priority


def test_a_priority_that_there_is_not_is_a_mistake_of_the_request() -> None:
    with pytest.raises(RequestError, match="high, normal or low") as caught:
        ANONYMOUS.priority("urgent")
    assert caught.value.status == 400


# No key, a wrong one, an old one


def test_without_a_key_a_router_that_asks_for_one_says_how_to_send_it() -> None:
    error = refusal(access(), request(("Host", "x")))
    assert (error.status, error.code) == (401, "missing_api_key")
    assert error.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Authorization: Bearer" in error.message


def test_another_scheme_shows_no_key() -> None:
    assert refusal(access(), request(("Authorization", "Basic dTpw"))).code == "missing_api_key"


def test_an_unknown_key_is_refused() -> None:
    error = refusal(access(files={"default": new_key()}), bearer(new_key()))
    assert (error.status, error.code) == (401, "invalid_api_key")


def test_on_loopback_any_key_or_none_will_do() -> None:
    key = new_key()
    made = access(required=False, ci={"hash": hash_of(key)})
    assert made.admit(request(), "admin") is ANONYMOUS
    assert made.admit(bearer("ollama"), "admin") is ANONYMOUS
    assert made.admit(bearer(key), "chat").name == "ci"
    assert refusal(made, bearer(key), "admin").status == 403


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer a"), ("Authorization", "Bearer a")],
        [("Authorization", "Bearer a"), ("Authorization", "Basic b")],
        [("Authorization", "Bearer a"), ("x-api-key", "b")],
        [("api-key", "a"), ("x-api-key", "b")],
        [("api-key", "a" * (LONGEST_KEY_BYTES + 1))],
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_headers_that_contradict_each_other_are_refused_everywhere(
    headers: list[tuple[str, str]], required: bool
) -> None:
    assert refusal(access(required=required), request(*headers)).status == 401


@pytest.mark.parametrize("expires", ["2027-01-01", "2027-01-01T00:00:00Z"])
def test_a_key_is_refused_from_the_day_or_second_it_expires(expires: str) -> None:
    key, clock = new_key(), Clock(NEW_YEAR - 0.5)
    made = access(clock=clock, ci={"hash": hash_of(key), "expires": expires})
    assert made.admit(bearer(key), "chat").name == "ci"
    clock.now = NEW_YEAR
    error = refusal(made, bearer(key))
    assert (error.status, error.code) == (401, "expired_api_key")
    assert "2027-01-01T00:00:00Z" in error.message


# Change while running


def test_a_revoked_key_is_refused_at_once() -> None:
    key = new_key()
    made = access(ci={"hash": hash_of(key)})
    made.admit(bearer(key), "chat")
    assert made.update(contract(), Secrets()) is None
    assert refusal(made, bearer(key)).status == 401


def test_while_a_key_is_rotated_old_and_new_count_as_one() -> None:
    old, new, clock = new_key(), new_key(), Clock(NEW_YEAR - 10)
    made = access(clock=clock, ci={"hash": hash_of(old)})
    assert made.admit(bearer(old), "chat").name == "ci"
    rotated = {"hash": hash_of(old), "expires": "2027-01-01"}
    assert made.update(contract(ci={"hash": hash_of(new)}, ci_previous=rotated), Secrets()) is None
    assert made.admit(bearer(old), "chat").name == "ci"
    assert made.admit(bearer(new), "chat").name == "ci"
    clock.now = NEW_YEAR
    assert refusal(made, bearer(old)).status == 401
    assert made.admit(bearer(new), "chat").name == "ci"


def test_a_key_changed_under_use_keeps_no_rights_of_before() -> None:
    key = new_key()
    made = access(ci={"hash": hash_of(key), "scopes": ["chat", "admin"]})
    made.admit(bearer(key), "admin")
    made.update(contract(ci={"hash": hash_of(key)}), Secrets())
    assert refusal(made, bearer(key), "admin").status == 403


@pytest.mark.parametrize(
    ("keys", "files", "told"),
    [
        ({"ci": "a"}, {"ci": "b"}, "both have a key 'ci'"),
        ({"ci": "a", "cd": "a"}, {}, "'ci' and 'cd' are the same key"),
        ({"ci": "a"}, {"cd": "a"}, "'ci' and 'cd' are the same key"),
        ({}, {"ci": "a", "cd": "a"}, "'ci' and 'cd' are the same key"),
    ],
)
def test_keys_that_clash_change_nothing_and_are_told(keys: dict[str, str], files: dict[str, str], told: str) -> None:
    values = {letter: new_key() for letter in "ab"}
    good = new_key()
    made = access(files={"default": good})
    clashing = contract(**{name: {"hash": hash_of(values[letter])} for name, letter in keys.items()})
    problem = made.update(clashing, Secrets({name: values[letter] for name, letter in files.items()}))
    assert problem is not None
    assert told in problem
    assert made.problem == problem
    assert made.admit(bearer(good), "chat").name == "default"
    assert made.update(contract(), Secrets({"default": good})) is None
    assert made.problem is None


def test_an_expiry_that_is_no_day_is_told() -> None:
    problem = Access(required=True).update(
        contract(ci={"hash": hash_of(new_key()), "expires": "2026-02-30"}), Secrets()
    )
    assert problem == "the key 'ci' expires on '2026-02-30', which is no day"


def test_keys_of_tiers_open_nothing() -> None:
    named, left_over = new_key(), new_key()
    secrets = Secrets({"over-there": named, "tier-commercial": left_over})
    made = Access(required=True)
    made.update(contract(tiers={"commercial": {"secret": "over-there"}}), secrets)
    assert refusal(made, bearer(named)).status == 401
    assert refusal(made, bearer(left_over)).status == 401
    assert secrets.tier_key("over-there") == named
    assert secrets.missing(["over-there", "tier-cloud", None]) == ["tier-cloud"]


# Guessing


def test_after_many_wrong_keys_an_address_has_to_wait() -> None:
    clock, right = Clock(), new_key()
    made = access(clock=clock, files={"default": right})
    for _ in range(MOST_GUESSES):
        assert refusal(made, bearer(new_key())).status == 401
    error = refusal(made, bearer(right))
    assert (error.status, error.headers["Retry-After"]) == (429, "60")
    assert made.admit(bearer(right), "chat", "10.0.0.2").name == "default"
    clock.now += WINDOW_SECONDS
    assert made.admit(bearer(right), "chat", "10.0.0.1").name == "default"


def test_who_has_a_right_key_is_not_shut_out_by_a_neighbour_who_guesses() -> None:
    right = new_key()
    made = access(files={"default": right})
    made.admit(bearer(right), "chat", "10.0.0.1")
    for address in ("10.0.0.1", "10.0.0.2"):
        for _ in range(MOST_GUESSES):
            refusal(made, bearer(new_key()), address=address)
        assert refusal(made, bearer(new_key()), address=address).status == 429
    assert refusal(made, bearer(right), address="10.0.0.2").status == 429
    assert made.admit(bearer(right), "chat", "10.0.0.1").name == "default"


def test_addresses_that_guess_are_remembered_up_to_a_bound() -> None:
    guesses = Guesses()
    for number in range(MOST_ADDRESSES + 100):
        guesses.wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(guesses._windows) == MOST_ADDRESSES


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    guesses = Guesses()
    for number in range(MOST_GUESSES):
        guesses.wrong(f"2001:db8::{number:x}%eth0" if number % 2 else f"2001:db8::{number:x}", 0.0)
    assert guesses.seconds_closed("2001:db8::ffff", 1.0) == WINDOW_SECONDS - 1
    assert guesses.seconds_closed("2001:db8:0:1::1", 1.0) == 0
    assert guesses.seconds_closed("not:an:address", 1.0) == 0


def test_keys_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_runtime.router.access.access._MOST_REMEMBERED", 3)
    keys = {f"k{number}": new_key() for number in range(10)}
    made = access(files=keys)
    for name, key in keys.items():
        assert made.admit(bearer(key), "chat").name == name
        assert len(made._shown) <= 3


# Headers of any shape

header_names = st.sampled_from([b"authorization", b"api-key", b"x-api-key", b"host", b"accept"])
header_values = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda value: b"Bearer " + value),
    st.sampled_from([b"Bearer", b"Bearer ", b"bearer\tx", b"Basic x", b""]),
)


def offered(name: bytes, value: bytes) -> bytes:
    """The key in one header, told in another way than the router's."""
    if name == b"authorization":
        found = re.fullmatch(rb"bearer (.*)", value, re.IGNORECASE | re.DOTALL)
        return found[1].strip() if found else b""
    return value.strip() if name in (b"api-key", b"x-api-key") else b""


@given(st.lists(st.tuples(header_names, header_values), max_size=6))
def test_any_headers_show_one_key_or_none_or_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    keys = {offered(name, value) for name, value in headers} - {b""}
    if [name for name, _ in headers].count(b"authorization") > 1 or len(keys) > 1:
        with pytest.raises(RequestError) as caught:
            shown_key(headers)
        assert caught.value.status == 401
    else:
        assert shown_key(headers) == (keys.pop() if keys else None)


@given(st.binary(min_size=1, max_size=60))
def test_no_bytes_but_the_key_open(shown: bytes) -> None:
    right = "k" * 20
    made = Access(required=True)
    made.update(contract(), Secrets({"default": right}))
    asked = Request()
    asked.headers = [(b"authorization", b"Bearer " + shown)]
    if shown.strip() != right.encode():
        with pytest.raises(RequestError):
            made.admit(asked, "chat")


# Nothing tells a key


def test_no_key_and_no_hash_is_told_by_any_error_repr_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock = Clock()
    keys = {name: new_key() for name in ("file", "spec", "old", "wrong", "twin", "tier-commercial")}
    told: list[object] = []
    made = access(
        clock=clock,
        files={"file": keys["file"], "tier-commercial": keys["tier-commercial"]},
        spec={"hash": hash_of(keys["spec"]), "models": ["small"]},
        old={"hash": hash_of(keys["old"]), "expires": "2020-01-01"},
    )
    told += [made, repr(made), Secrets(keys), str(Secrets(keys))]
    told += [made.admit(bearer(keys["file"]), "admin"), made.admit(bearer(keys["spec"]), "chat")]
    for key in keys.values():
        for asked in (bearer(key), request(("Authorization", f"Bearer {key}"), ("api-key", key + "x"))):
            for scope in ("chat", "admin", "metrics"):
                try:
                    told.append(made.admit(asked, scope, "10.0.0.1"))
                except RequestError as error:
                    told += [error, error.message, error.headers]
    with pytest.raises(RequestError) as caught:
        made.admit(bearer(keys["spec"]), "chat").demand_model("large")
    told.append(caught.value)
    told.append(made.update(contract(), Secrets({"a": keys["twin"], "b": keys["twin"]})))
    text = " ".join(f"{item!s} {item!r}" for item in told) + caplog.text
    for key in keys.values():
        assert key not in text
        assert hash_of(key).removeprefix("sha256:") not in text


def test_a_caller_says_nothing_of_its_hash() -> None:
    key = new_key()
    spec = KeySpec.model_validate({"hash": hash_of(key)})
    made = access(ci=spec.model_dump(by_alias=True, exclude_none=True))
    assert spec.hash not in repr(made.admit(bearer(key), "chat"))
