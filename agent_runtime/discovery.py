"""Finds the fleet: reads the contract from a file and follows the file when it changes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError, ContractError

_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ContractChange:
    """What a look at the contract's file found: a new contract, or the reason why it cannot be used."""

    contract: FleetContract | None
    problem: str | None


class ContractFile:
    """A contract in a file that somebody else writes, whole or by renaming a new file over it.

    ``load`` is for the start, where a file that cannot be read is the user's mistake. ``poll`` is for the
    time after, where a bad file must not take down what is running.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: _Stamp | None = None

    def load(self) -> FleetContract:
        """Read the contract.

        Raises:
            BadInputError: there is no such file, or it cannot be opened.
            ContractError: the file holds no contract that this release can read.
        """
        try:
            self._stamp = _stamp(self.path)
            text = self.path.read_bytes()
        except FileNotFoundError as error:
            raise BadInputError(
                f"there is no contract at {self.path}. Bring a fleet up with `paddock up`, or write the "
                "contract of a running one with `paddock outputs --json`, and give its path with --fleet."
            ) from error
        except OSError as error:
            raise BadInputError(f"cannot read the contract at {self.path}: {error.strerror}.") from error
        return FleetContract.parse(text, str(self.path))

    def poll(self) -> ContractChange | None:
        """Look once more: None where the file is as it was at the last look, good or bad."""
        try:
            stamp = _stamp(self.path)
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            return ContractChange(FleetContract.parse(self.path.read_bytes(), str(self.path)), None)
        except ContractError as error:
            return ContractChange(None, str(error))
        except OSError as error:
            if self._stamp is None:
                return None
            self._stamp = None
            return ContractChange(None, f"cannot read the contract at {self.path}: {error.strerror}.")


def _stamp(path: Path) -> _Stamp:
    """What tells one version of a file from the next: a rename changes the inode, a write time or size."""
    found = os.stat(path)  # noqa: PTH116 - one system call in a loop that runs for the process's whole life
    return found.st_ino, found.st_mtime_ns, found.st_size
