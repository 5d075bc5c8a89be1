"""Ollama's requests in OpenAI's words, for engines that speak OpenAI's API: llama.cpp, vLLM and others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.fields import NUMBER, check, check_fields, objects, strings
from fleet_spec.contract import EngineName

_COMMON_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_ENGINE_OPTIONS: dict[EngineName, dict[str, str]] = {
    "llamacpp": {
        "top_k": "top_k",
        "min_p": "min_p",
        "typical_p": "typical_p",
        "repeat_penalty": "repeat_penalty",
        "repeat_last_n": "repeat_last_n",
        "num_keep": "n_keep",
        "mirostat": "mirostat",
        "mirostat_tau": "mirostat_tau",
        "mirostat_eta": "mirostat_eta",
    },
    "vllm": {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"},
    "openai": {},
}
_INTEGERS = {"seed", "top_k", "num_predict", "repeat_last_n", "num_keep", "mirostat", "num_ctx"}

_IMAGE_TYPES = (("/9j/", "jpeg"), ("iVBOR", "png"), ("R0lG", "gif"), ("UklG", "webp"))


@dataclass(slots=True)
class Translation:
    """A request in the engine's words."""

    body: dict[str, Any]
    ignored: list[str] = field(default_factory=list[str])
    """What the client asked for and the engine cannot do, such as ``options.num_ctx``."""


def chat_to_openai(body: Mapping[str, Any], engine: EngineName, context_length: int) -> Translation:
    """The body of /v1/chat/completions for one of /api/chat. The model's name is left out.

    Raises:
        RequestError: 400, a field has the wrong type.
    """
    result = Translation({"messages": messages_to_openai(objects(body.get("messages"), "messages"))})
    tools = objects(body.get("tools"), "tools")
    if tools:
        result.body["tools"] = tools
    _common(result, body, engine, context_length)
    return result


def generate_to_openai(body: Mapping[str, Any], engine: EngineName, context_length: int) -> Translation:
    """The body of /v1/chat/completions for one of /api/generate, or of /v1/completions where it is raw.

    Raises:
        RequestError: 400, a field has the wrong type, or asks for what only Ollama can do.
    """
    check_fields(body, {"prompt": str, "system": str, "suffix": str, "template": str, "raw": bool})
    if body.get("suffix") and engine == "vllm":
        raise RequestError(400, "suffix is not possible on a model served by vllm", param="suffix")
    if body.get("raw") and (body.get("system") or body.get("images")):
        raise RequestError(400, "raw mode does not support system or images", param="raw")
    for name, instead in (
        ("template", "write the prompt out and send it with raw: true"),
        ("context", "send the earlier turns as messages to /api/chat"),
    ):
        if body.get(name):
            raise RequestError(400, f"{name} is not possible on a model served by {engine}: {instead}", param=name)
    prompt = body.get("prompt") or ""
    if body.get("suffix"):
        return _gap(body, prompt, engine, context_length)
    if body.get("raw"):
        result = Translation({"prompt": prompt})
    else:
        user: dict[str, Any] = {"role": "user", "content": prompt, "images": body.get("images")}
        system = body.get("system")
        turns = [{"role": "system", "content": system}, user] if system else [user]
        result = Translation({"messages": messages_to_openai(turns)})
    _common(result, body, engine, context_length)
    if body.get("raw") and "logprobs" in result.body:
        # Here it is the number of alternatives, and no switch.
        result.body["logprobs"] = result.body.pop("top_logprobs", 0)
    return result


def _gap(body: Mapping[str, Any], prompt: str, engine: EngineName, context_length: int) -> Translation:
    """What is between a prompt and a suffix: /infill on llama.cpp, elsewhere the suffix of /v1/completions."""
    if body.get("format") or body.get("images"):
        raise RequestError(400, "suffix is possible with neither format nor images", param="suffix")
    if engine == "llamacpp":
        result = Translation({"input_prefix": prompt, "input_suffix": body["suffix"]})
    else:
        result = Translation({"prompt": prompt, "suffix": body["suffix"]})
    _common(result, {name: body.get(name) for name in ("options", "stream")}, engine, context_length)
    result.ignored += [name for name in ("system", "think", "logprobs") if body.get(name)]
    return result


def embed_to_openai(body: Mapping[str, Any], engine: EngineName) -> Translation:
    """The body of /v1/embeddings for one of /api/embed.

    Raises:
        RequestError: 400, the input is neither a string nor a list of strings.
    """
    text: object = body.get("input", "")
    if not isinstance(text, str):
        text = strings(text, "input")
    result = Translation({"input": text, "encoding_format": "float"})
    if body.get("dimensions") is not None:
        check(body["dimensions"], int, "dimensions")
        if engine != "llamacpp" and body["dimensions"] > 0:
            result.body["dimensions"] = body["dimensions"]
    check_fields(body, {"truncate": bool})
    if engine == "vllm" and body.get("truncate") is not False:
        result.body["truncate_prompt_tokens"] = -1
    elif body.get("truncate"):
        result.ignored.append("truncate")
    return result


def messages_to_openai(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns of a conversation. Calls without an id get one, and the answers to them the same.

    Raises:
        RequestError: 400, a field has the wrong type.
    """
    result: list[dict[str, Any]] = []
    waiting: list[tuple[str, str]] = []
    """The calls that no answer has come to yet: name and id."""
    count = 0
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        check_fields(
            message,
            {"role": str, "content": str, "thinking": str, "tool_name": str, "tool_call_id": str},
            f"{path}.",
        )
        role = (message.get("role") or "user").lower()
        turn: dict[str, Any] = {"role": role, "content": message.get("content") or ""}
        images = strings(message.get("images"), f"{path}.images")
        if images:
            turn["content"] = _parts(turn["content"], images)
        if message.get("thinking"):
            turn["reasoning_content"] = message["thinking"]
        calls = objects(message.get("tool_calls"), f"{path}.tool_calls")
        if calls:
            made = [_call(call, f"call_{count + at}", f"{path}.tool_calls[{at}]") for at, call in enumerate(calls)]
            count += len(made)
            waiting += [(call["function"]["name"], call["id"]) for call in made]
            turn["tool_calls"] = made
        if role == "tool":
            turn["tool_call_id"] = _answered(waiting, message)
        result.append(turn)
    return result


def _answered(waiting: list[tuple[str, str]], message: Mapping[str, Any]) -> str:
    """The id of the call that a tool's message answers: the one it names, or the first of its tool's."""
    wanted_id, wanted_name = message.get("tool_call_id"), message.get("tool_name")
    for at, (name, call_id) in enumerate(waiting):
        if call_id == wanted_id or (not wanted_id and wanted_name in (name, None, "")):
            del waiting[at]
            return call_id
    return wanted_id or "call_0"


def _call(call: Mapping[str, Any], default_id: str, path: str) -> dict[str, Any]:
    check_fields(call, {"function": dict, "id": str}, f"{path}.")
    function: dict[str, Any] = call.get("function") or {}
    check_fields(function, {"name": str, "arguments": dict}, f"{path}.function.")
    return {
        "id": call.get("id") or default_id,
        "type": "function",
        "function": {
            "name": function.get("name") or "",
            "arguments": json.dumps(function.get("arguments") or {}, ensure_ascii=False),
        },
    }


def _parts(text: str, images: list[str]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    parts += [{"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images]
    return parts


def _data_url(image: str) -> str:
    if image.startswith("data:"):
        return image
    kind = next((kind for start, kind in _IMAGE_TYPES if image.startswith(start)), "jpeg")
    return f"data:image/{kind};base64,{image}"


def _common(result: Translation, body: Mapping[str, Any], engine: EngineName, context_length: int) -> None:
    """What chat and generate share: options, format, thinking, log probabilities, streaming."""
    check_fields(
        body,
        {"options": dict, "format": (str, dict), "think": (bool, str), "logprobs": bool, "top_logprobs": int},
    )
    _options(result, cast("dict[str, Any]", body.get("options") or {}), engine, context_length)
    shape = body.get("format")
    if isinstance(shape, dict):
        result.body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": shape},
        }
    elif shape == "json":
        result.body["response_format"] = {"type": "json_object"}
    elif shape:
        raise RequestError(400, f'format must be "json" or a JSON schema, not "{shape}"', param="format")
    _think(result, body.get("think"), engine)
    if body.get("logprobs"):
        result.body["logprobs"] = True
        if body.get("top_logprobs"):
            result.body["top_logprobs"] = body["top_logprobs"]
    streamed = body.get("stream") is not False
    result.body["stream"] = streamed
    if streamed:
        result.body["stream_options"] = {"include_usage": True}


def _options(result: Translation, options: Mapping[str, Any], engine: EngineName, context_length: int) -> None:
    names = _COMMON_OPTIONS | _ENGINE_OPTIONS.get(engine, {})
    for name, value in options.items():
        if value is None:
            continue
        path = f"options.{name}"
        if name == "stop":
            stops = [value] if isinstance(value, str) else strings(value, path)
            if stops:
                result.body["stop"] = stops
        elif name == "num_predict":
            check(value, NUMBER, path)
            # Ollama takes -1 and -2 for "no limit", which OpenAI's API says by leaving the limit out.
            if value > 0:
                result.body["max_completion_tokens" if engine == "openai" else "max_tokens"] = int(value)
        elif name == "num_ctx":
            check(value, NUMBER, path)
            if value > context_length:
                result.ignored.append(path)
        elif name in names:
            check(value, NUMBER, path)
            result.body[names[name]] = int(value) if name in _INTEGERS else value
        else:
            result.ignored.append(path)


def _think(result: Translation, think: bool | str | None, engine: EngineName) -> None:
    if think is None or think == "":
        return
    if isinstance(think, str):
        if think not in ("low", "medium", "high"):
            raise RequestError(
                400, f'think must be true, false, "low", "medium" or "high", not "{think}"', param="think"
            )
        result.body["reasoning_effort"] = think
    if engine == "openai":
        if isinstance(think, bool):
            result.ignored.append("think")
        return
    wanted: dict[str, Any] = {"enable_thinking": bool(think)}
    if isinstance(think, str):
        wanted["reasoning_effort"] = think
    result.body["chat_template_kwargs"] = wanted
