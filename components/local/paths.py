"""Where the local target keeps a stack's files, below the project's directory."""

from __future__ import annotations

from pathlib import Path

PRIVATE_DIRECTORY = ".paddock"
"""What running fleets keep in a checkout, ignored by git."""
CONTRACT_FILE_NAME = "fleet.json"


def stack_directory(project: Path, stack: str) -> Path:
    """What one stack keeps: processes' records and logs, its contract, its model stores."""
    return project / PRIVATE_DIRECTORY / stack


def processes_directory(project: Path, stack: str) -> Path:
    """The folder that holds a folder for each process of a stack."""
    return stack_directory(project, stack) / "processes"


def process_directory(project: Path, stack: str, name: str) -> Path:
    """The record and the logs of one process."""
    return processes_directory(project, stack) / name


def contract_path(project: Path, stack: str) -> Path:
    """The contract that the stack's router follows."""
    return stack_directory(project, stack) / CONTRACT_FILE_NAME
