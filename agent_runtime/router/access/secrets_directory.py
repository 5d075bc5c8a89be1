"""The directory of the router's secrets: one file a secret, followed while the router runs.

A file that a tier of the contract names holds the key that the tier asks for. Any other is a key that clients
may show, by the file's name; those whose name begins with ``tier-`` never are, so that the key of a tier that
is not configured any more opens nothing. Names that begin with a dot are left alone: Kubernetes keeps the
versions of a mounted Secret there and swaps them by renaming one link, so that a change is whole.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleet_spec.errors import BadInputError

TIER_PREFIX: Final = "tier-"
MOST_SECRET_BYTES: Final = 4096
MOST_FILES: Final = 1000
SHORTEST_CLIENT_KEY: Final = 16
"""Characters. A shorter key could be found by trying."""

_Stamp = tuple[tuple[str, int, int, int, int], ...]
_CONTAINER_SIGNS: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))


class Secrets:
    """What the directory held when it was last read. Its text and ``repr`` name the secrets and tell none."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))})"

    def tier_key(self, name: str) -> str | None:
        """The key for a tier whose secret has this name, or None where there is no such file."""
        return self._values.get(name)

    def client_keys(self, tier_secrets: Iterable[str | None]) -> dict[str, str]:
        """The keys that clients may show, by name.

        Args:
            tier_secrets: the names of secrets that belong to tiers.
        """
        kept_back = frozenset(tier_secrets)
        return {
            name: value
            for name, value in self._values.items()
            if name not in kept_back and not name.startswith(TIER_PREFIX)
        }

    def missing(self, tier_secrets: Iterable[str | None]) -> list[str]:
        """Those names of tiers' secrets for which there is no file, in alphabetical order."""
        return sorted({name for name in tier_secrets if name is not None and name not in self._values})


@dataclass(frozen=True, slots=True)
class SecretsChange:
    """What a look at the directory found: new secrets, or the reason why they cannot be used."""

    secrets: Secrets | None
    problem: str | None


class SecretsDirectory:
    """Files that somebody else writes: the stack, a Kubernetes mount, or a person.

    ``load`` is for the start, where a directory that cannot be used is the user's mistake. ``poll`` is for the
    time after, where it must not take down what is running.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: _Stamp | None = None

    def load(self) -> Secrets:
        """Read all secrets.

        Raises:
            BadInputError: there is no such directory, or a file in it cannot be used; every such file is named.
        """
        try:
            self._stamp = self._look()
            return self._read()
        except FileNotFoundError as error:
            raise BadInputError(
                f"there is no directory of secrets at {self.path}. Make it with `install -d -m 700 {self.path}`, put "
                "one file into it for each key, and give its path with --secrets."
            ) from error
        except NotADirectoryError as error:
            raise BadInputError(
                f"{self.path} is no directory. Give the directory that holds one file a secret."
            ) from error
        except OSError as error:
            raise BadInputError(f"cannot read the secrets in {self.path}: {error.strerror}.") from error

    def poll(self) -> SecretsChange | None:
        """Look once more: None where all files are as they were at the last look, good or bad."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            secrets = self._read()
            if self._look() != stamp:
                # Written while it was read: the next look reads it whole.
                self._stamp = None
                return None
            return SecretsChange(secrets, None)
        except BadInputError as error:
            return SecretsChange(None, str(error))
        except OSError as error:
            if self._stamp is None:
                return None
            self._stamp = None
            return SecretsChange(None, f"cannot read the secrets in {self.path}: {error.strerror}.")

    def _look(self) -> _Stamp:
        """What tells one state of the directory from the next."""
        found: list[tuple[str, int, int, int, int]] = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    status = entry.stat()
                except FileNotFoundError:  # it has just gone, or is a link to what has
                    continue
                if stat.S_ISREG(status.st_mode):
                    found.append((entry.name, status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode))
                if len(found) > MOST_FILES:
                    raise BadInputError(
                        f"{self.path} holds more than {MOST_FILES} files. Give a directory with secrets alone."
                    )
        return tuple(sorted(found))

    def _read(self) -> Secrets:
        values: dict[str, str] = {}
        problems: list[str] = []
        guarded = _is_guarded_elsewhere(self.path)
        for name, _, _, size_bytes, mode in self._look():
            path = self.path / name
            problem = _fault(path, size_bytes, mode, guarded=guarded)
            if problem is None:
                value, problem = _value(path)
                values[name] = value
            if problem is not None:
                problems.append(problem)
        if problems:
            raise BadInputError("; ".join(problems))
        return Secrets(values)


def _is_guarded_elsewhere(directory: Path) -> bool:
    """Whether modes of files say nothing about who can read them: in a mount of Kubernetes', or in a container."""
    return (
        (directory / "..data").is_symlink()
        or "KUBERNETES_SERVICE_HOST" in os.environ
        or any(sign.exists() for sign in _CONTAINER_SIGNS)
    )


def _fault(path: Path, size_bytes: int, mode: int, *, guarded: bool) -> str | None:
    if size_bytes > MOST_SECRET_BYTES:
        return f"{path} is larger than {MOST_SECRET_BYTES} bytes, so it is no key; take it out of the directory"
    if mode & stat.S_IRWXO and not guarded:
        return f"{path} can be read by everybody on this machine (mode {stat.S_IMODE(mode):04o}); chmod 600 {path}"
    return None


def _value(path: Path) -> tuple[str, str | None]:
    """The secret in a file, without the end of its line, and what is wrong with it."""
    try:
        text = path.read_bytes().decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        return "", f"{path} holds something else than ASCII, which no header can carry; write the key anew"
    if not text:
        return "", f"{path} is empty; write the key into it, or remove it"
    if any(not "!" <= character <= "~" for character in text):
        return "", f"{path} holds a blank or a control character; write the key alone, on one line"
    if len(text) < SHORTEST_CLIENT_KEY and not path.name.startswith(TIER_PREFIX):
        return "", (
            f"{path} holds a key of {len(text)} characters, which could be guessed; make one with at least "
            f"{SHORTEST_CLIENT_KEY}, such as `paddock keys new` prints"
        )
    return text, None
