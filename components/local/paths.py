"""Where the local target keeps a stack's files, below the project's directory."""

from __future__ import annotations

from pathlib import Path

PRIVATE_DIRECTORY = ".paddock"
"""What running fleets keep in a checkout, ignored by git."""
CONTRACT_FILE_NAME = "fleet.json"
SECRETS_DIRECTORY_NAME = "secrets"
DATA_DIRECTORY_NAME = "data"
DEFAULT_KEY_NAME = "default"
"""The file, and so the name, of the key that the stack itself makes."""


def stack_directory(project: Path, stack: str) -> Path:
    """What one stack keeps: processes' records and logs, its contract, its model stores."""
    return project / PRIVATE_DIRECTORY / stack


def processes_directory(project: Path, stack: str) -> Path:
    """The folder that holds a folder for each process of a stack."""
    return stack_directory(project, stack) / "processes"


def process_directory(project: Path, stack: str, name: str) -> Path:
    """The record and the logs of one process."""
    return processes_directory(project, stack) / name


def default_key_path(project: Path, stack: str) -> Path:
    """The key that the stack made for its router."""
    return stack_directory(project, stack) / SECRETS_DIRECTORY_NAME / DEFAULT_KEY_NAME


def contract_path(project: Path, stack: str) -> Path:
    """The contract that the stack's router follows."""
    return stack_directory(project, stack) / CONTRACT_FILE_NAME
