"""``paddock:local:OllamaModel``: a model in the store of a running Ollama server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.local.provider.fields import Field, changed_fields, check_fields, known, unknown_outputs
from components.local.provider.resource import Change, Failure, Properties, Session
from components.local.provider.weights import hash_file

if TYPE_CHECKING:
    from components.local.provider.ollama_api import OllamaApi

FIELDS = {
    "serverUrl": Field("string", required=True, compared=False),
    "model": Field("string", required=True, replaces=True),
    "pullTag": Field("string"),
    "fromFile": Field("string"),
    "fromFileSha256": Field("string"),
    "template": Field("string"),
    "stop": Field("strings"),
    "parameters": Field("map"),
    "base": Field("string"),
    "baseDigest": Field("string"),
    "adapterFile": Field("string"),
    "adapterSha256": Field("string"),
    "warm": Field("boolean", default=False, compared=False),
}
_DIFF_SECONDS = 1.0
_DIGEST_OF_NOTHING = ""


class OllamaModelType:
    """Pulls a model, or makes it from a GGUF file, and sees whether it is still what it was."""

    def check(self, given: Properties, old_inputs: Properties) -> tuple[Properties, list[Failure]]:  # noqa: ARG002
        """See :meth:`ResourceType.check`."""
        inputs, failures = check_fields(FIELDS, given)
        url, path, digest = (known(inputs, key) for key in ("serverUrl", "fromFile", "fromFileSha256"))
        if isinstance(url, str) and not url.startswith(("http://", "https://")):
            failures.append(Failure("serverUrl", f"is {url!r}; it begins with http:// or https://"))
        if "fromFile" in inputs and "pullTag" in inputs:
            inputs.pop("pullTag")  # the file is the model; the tag would only be its name elsewhere
        if isinstance(path, str) and not Path(path).is_absolute():
            failures.append(Failure("fromFile", f"is {path!r}, which is not absolute"))
        if isinstance(digest, str):
            inputs["fromFileSha256"] = digest.lower()
        if len({key in inputs for key in ("base", "adapterFile", "adapterSha256")}) > 1:
            failures.append(Failure("adapterFile", "goes with base and adapterSha256: give all of them, or none"))
        return inputs, failures

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:  # noqa: ARG002
        """See :meth:`ResourceType.preview`."""
        return {**inputs, **unknown_outputs("digest")}

    def diff(self, state: Properties, old_inputs: Properties, inputs: Properties) -> Mapping[str, Change]:
        """See :meth:`ResourceType.diff`. Asks the server, if it answers, whether it still has the model."""
        changes = changed_fields(FIELDS, old_inputs, inputs)
        url = known(inputs, "serverUrl")
        if changes or url is None:
            return changes
        from components.local.provider.ollama_api import OllamaError

        try:
            digest = _api(url, Session(), quick_seconds=_DIFF_SECONDS).digest(inputs["model"])
        except OllamaError:
            return changes
        if digest != state.get("digest"):
            changes["digest"] = Change("update", of_input=False)
        return changes

    def create(self, inputs: Properties, session: Session) -> tuple[str, Properties]:
        """See :meth:`ResourceType.create`.

        Raises:
            OllamaError: the server does not answer, or refuses; its own words are in the text.
        """
        return inputs["model"], _provide(inputs, session)

    def read(self, resource_id: str, state: Properties, session: Session) -> Properties | None:
        """See :meth:`ResourceType.read`. A server that does not answer leaves the state as it is."""
        from components.local.provider.ollama_api import OllamaUnreachableError

        try:
            digest = _api(state["serverUrl"], session).digest(resource_id)
        except OllamaUnreachableError as error:
            session.warn(f"{error}; what the stack knows of {resource_id} is kept")
            return state
        return None if digest is None else {**state, "digest": digest}

    def update(self, resource_id: str, state: Properties, inputs: Properties, session: Session) -> Properties:  # noqa: ARG002
        """See :meth:`ResourceType.update`."""
        return _provide(inputs, session)

    def delete(self, resource_id: str, state: Properties, session: Session) -> None:
        """See :meth:`ResourceType.delete`. A server that is gone took nothing with it but what it kept on disk."""
        from components.local.provider.ollama_api import OllamaUnreachableError

        try:
            _api(state["serverUrl"], session).delete(resource_id)
        except OllamaUnreachableError as error:
            session.warn(f"{error}; {resource_id} stays in its store")


def definition(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the call that makes the model, without its name; empty where pulling it is enough."""
    body: dict[str, Any] = {}
    if "fromFile" in inputs:
        body["files"] = {Path(inputs["fromFile"]).name: f"sha256:{inputs['fromFileSha256']}"}
    parameters = dict(inputs.get("parameters", {}))
    if inputs.get("stop"):
        parameters["stop"] = inputs["stop"]
    if parameters:
        body["parameters"] = parameters
    if inputs.get("template"):
        body["template"] = inputs["template"]
    if "adapterFile" in inputs:
        body["adapters"] = {Path(inputs["adapterFile"]).name: f"sha256:{inputs['adapterSha256']}"}
        body["from"] = inputs["base"]
    elif "files" not in body and (body or _tag(inputs) != inputs["model"]):
        body["from"] = _tag(inputs)
    return body


def _provide(inputs: Properties, session: Session) -> Properties:
    api = _api(inputs["serverUrl"], session)
    model = inputs["model"]
    body = definition(_with_hash(inputs, session))
    if "files" in body:
        api.upload(Path(inputs["fromFile"]), next(iter(body["files"].values())))
    elif "adapters" in body:
        api.upload(Path(inputs["adapterFile"]), next(iter(body["adapters"].values())))
    else:
        api.pull(_tag(inputs))
    if body:
        api.create(model, body)
    from components.local.provider.ollama_api import OllamaError

    if api.show(model) is None:
        raise OllamaError(
            f"{inputs['serverUrl']} does not show {model!r}, which it has just made. Run `paddock up` again."
        )
    if inputs["warm"]:
        session.status(f"loading {model}")
        api.load(model)
    session.status(f"{model} is ready")
    return {**inputs, "digest": api.digest(model) or _DIGEST_OF_NOTHING}


def _with_hash(inputs: Properties, session: Session) -> Properties:
    """The inputs with the hash of the file, by which the server stores it; read whole where nobody gave it."""
    if "fromFile" not in inputs or "fromFileSha256" in inputs:
        return inputs
    return {**inputs, "fromFileSha256": hash_file(Path(inputs["fromFile"]), session)}


def _tag(inputs: Mapping[str, Any]) -> str:
    return inputs.get("pullTag") or inputs["model"]


def _api(url: str, session: Session, **options: float) -> OllamaApi:
    # The HTTP library takes a quarter of a second to load, which a fleet without Ollama need not wait for.
    from components.local.provider.ollama_api import OllamaApi

    return OllamaApi(url, session, **options)
