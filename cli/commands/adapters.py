"""models adapter prepare: an adapter as it was trained, checked against its base, as a file that is served."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cli.console import note, write, write_json
from cli.project import find_project
from components.local.file_hash import sha256_of
from components.local.files import temporary_path
from components.local.plan import weights_path
from fleet_spec.adapters import Adapter, AdapterError, read_adapter, require_base
from fleet_spec.catalogue_entry import CatalogueModel
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.sizing.gguf_file import GgufError, GgufHeader, read_gguf_header
from fleet_spec.stack_file import stack_file_path

INSTALL_HINT = "pip install 'paddock[adapters]'"
_NAME_KEYS = ("general.base_model.0.name", "general.base_model.0.repo_url", "general.basename", "general.name")


def prepare(
    source: Path, base: str, out: Path, *, stack: str, scale: float, other_name: bool, as_json: bool = False
) -> None:
    """Convert an adapter, or check one that is converted.

    Args:
        source: A folder as peft saves it, its file of weights, or a GGUF file.
        base: The base's GGUF file, or a model of the stack whose weights are a file or a package.
        out: Where the adapter's GGUF file goes.
        stack: Where ``base`` is looked up.
        scale: How strong the adapter is made.
        other_name: Whether a base that goes by another name than the one it was trained on will do.
        as_json: Print one JSON document.

    Raises:
        BadInputError: something is not there or not what it should be, or the adapter belongs to another base.
        PaddockError: the file cannot be written; what was there before stays.
    """
    if not source.exists():
        raise BadInputError(f"there is no {source}. fix: name the adapter's folder or file")
    path, entry = base_file(base, stack)
    if out.exists() and out.samefile(path):
        raise BadInputError(f"--out {out} is the base itself, which would be lost. fix: name another file")
    header = read_gguf_header(path)
    if source.suffix == ".gguf":
        if scale != 1:
            raise BadInputError(f"--scale {scale:g} needs the adapter as it was trained. fix: name its folder")
        adapter = read_adapter(source)
        require_base(adapter, header)
        if source.resolve() != out.resolve():
            _written(out, lambda path: shutil.copyfile(source, path))
    else:
        adapter = _written(
            out,
            lambda path: _convert(source, header, entry, path, name=out.stem, scale=scale, other_name=other_name),
        )
    _tell(adapter, out, base, header, as_json=as_json)


def base_file(base: str, stack: str) -> tuple[Path, CatalogueModel | None]:
    """The GGUF file of a base, and its entry in the catalogue where it is known by one.

    Raises:
        BadInputError: there is no such model, or its weights are not at hand as a file.
    """
    if base.endswith(".gguf"):
        return Path(base), None
    from fleet_spec.catalogue import UnknownModelError, load_catalogue

    project = find_project().directory
    catalogue = load_catalogue()
    name = base
    if stack_file_path(project, stack).is_file():
        from cli.stack_spec import read_stack_spec

        spec = read_stack_spec(project, stack)
        catalogue = spec.catalogue
        if base in spec.models:
            own = weights_path(spec.models[base], project)
            if own is not None:
                return own, None
            name = spec.models[base].model
    hint = "fix: name the base's GGUF file with --base FILE.gguf"
    try:
        entry = catalogue.get(name)
    except UnknownModelError as error:
        raise BadInputError(f"{base!r} is neither a model of the stack nor of the catalogue. {hint}") from error
    packaged = entry.sources.packaged
    if packaged is None or find_spec(packaged.module) is None:
        raise BadInputError(f"the weights of {base} are not at hand as a file. {hint}")
    from components.local.provider.resource import Session
    from components.local.provider.weights import WeightsType

    wanted = {"fileName": packaged.file, "sha256": packaged.sha256, "packageModule": packaged.module}
    inputs, _ = WeightsType().check(wanted, {})
    return Path(WeightsType().create(inputs, Session())[1]["path"]), entry


def _written(out: Path, write_to: Callable[[Path], object]) -> Adapter:
    """Have a file written whole or not at all, and read it back.

    Raises:
        PaddockError: it cannot be written.
    """
    temporary = temporary_path(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_to(temporary)
        try:
            adapter = read_adapter(temporary)
        except GgufError as error:
            raise PaddockError(f"{out} could not be written whole. fix: make room on its disk") from error
        temporary.replace(out)
    except OSError as error:
        raise PaddockError(
            f"{out} cannot be written: {error.strerror or error}. fix: make room, or name another"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return adapter


def _convert(
    source: Path,
    header: GgufHeader,
    entry: CatalogueModel | None,
    out: Path,
    *,
    name: str,
    scale: float,
    other_name: bool,
) -> None:
    missing = [name for name in ("gguf", "safetensors") if find_spec(name) is None]
    if missing:
        raise BadInputError(f"converting an adapter needs {' and '.join(missing)}. fix: {INSTALL_HINT}")
    # They load numpy, which nothing else here needs.
    from cli.adapters.convert import convert, write_adapter
    from cli.adapters.peft_folder import read_peft

    trained = read_peft(source)
    known = base_names(header, entry)
    if trained.base_name and known and not other_name and not same_name(trained.base_name, known):
        raise AdapterError(
            f"{trained.folder} was trained on {trained.base_name}, and the base is {' or '.join(known)}. "
            "fix: name that base, or give --other-name where these are the same weights"
        )
    converted = convert(trained, header, scale=scale)
    write_adapter(converted, out, name=name, base_name=trained.base_name)


def base_names(header: GgufHeader, entry: CatalogueModel | None) -> list[str]:
    """Every name by which a base is known."""
    told = [header.metadata.get(key) for key in _NAME_KEYS]
    known = [name for name in told if isinstance(name, str) and name]
    if entry is not None:
        known += [entry.name, *([entry.sources.vllm] if entry.sources.vllm else [])]
    return list(dict.fromkeys(known))


def same_name(trained_on: str, known: list[str]) -> bool:
    """Whether the name of a base agrees with one that it is known by, but for case, punctuation and who publishes it.

    >>> same_name("meta-llama/Llama-3.1-8B", ["Llama 3.1 8B"]), same_name("mistralai/Mistral-7B-v0.3", ["Llama 3.1 8B"])
    (True, False)
    """
    wanted = _plain(trained_on)
    return any(_plain(name) in wanted or wanted in _plain(name) for name in known)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.rstrip("/").rpartition("/")[2].lower())


def _tell(adapter: Adapter, out: Path, base: str, header: GgufHeader, *, as_json: bool) -> None:
    digest = sha256_of(out, lambda _: None)
    document: dict[str, Any] = {
        "file": str(out),
        "sha256": digest,
        "sizeBytes": out.stat().st_size,
        "base": base,
        "architecture": header.family,
        "rank": adapter.rank,
        "alpha": adapter.alpha,
        "matrices": len(adapter.matrices),
    }
    if as_json:
        write_json(document)
        return
    write(
        f"{out}: rank {adapter.rank}, alpha {adapter.alpha:g}, {len(adapter.matrices)} matrices of a {header.family}, "
        f"{document['sizeBytes'] / 1e6:.1f} MB, belongs to {base}"
    )
    note(f"to serve it, below the model in the stack's config:\n  adapters: {{{out.stem}: {out}}}")
