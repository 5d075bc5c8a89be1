"""Rendered files into a directory that holds nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from fleet_spec.errors import BadInputError, PaddockError


def write_files(files: Mapping[str, str], out: Path, *, beside: Collection[str] = ()) -> None:
    """Write files below ``out``, which is made where it is not there.

    Args:
        files: Texts by name.
        out: The directory.
        beside: Names that may be there already, and are left alone.

    Raises:
        BadInputError: the directory has files of something else, or is none.
        PaddockError: it cannot be written to.
    """
    known = {*files, *beside}
    try:
        out.mkdir(parents=True, exist_ok=True)
        # A file of an older rendering would be taken for a part of this one.
        strangers = sorted(path.name for path in out.iterdir() if path.name not in known)
        if strangers:
            raise BadInputError(
                f"{out} has files that are not of this rendering: {', '.join(strangers[:5])}. "
                "fix: name an empty directory with --out"
            )
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")
    except NotADirectoryError as error:
        raise BadInputError(f"{out} is no directory. fix: name another with --out") from error
    except FileExistsError as error:
        raise BadInputError(f"{out} is a file. fix: name a directory with --out") from error
    except OSError as error:
        raise PaddockError(f"cannot write to {out}: {error.strerror}") from error
