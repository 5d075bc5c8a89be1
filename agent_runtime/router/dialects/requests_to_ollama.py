"""OpenAI's requests in Ollama's words. Ollama is spoken to in its own API, never through its /v1.

That one drops num_ctx and thinking, numbers every tool call 0 and ends a broken stream like a whole one.
Sampling options that the client leaves out are left to the model's own defaults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.fields import (
    NUMBER,
    TEXT_OR_LIST,
    Kind,
    check,
    check_fields,
    objects,
    strings,
)
from agent_runtime.router.dialects.replies import section
from agent_runtime.router.dialects.requests_to_openai import Translation

_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "seed": "seed",
    "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repeat_penalty",
    "repetition_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
    "num_ctx": "num_ctx",
}
_INTEGERS = {"top_k", "seed", "max_tokens", "max_completion_tokens", "repeat_last_n", "num_ctx"}
_MESSAGE_FIELDS: dict[str, Kind] = {
    "role": str,
    "content": TEXT_OR_LIST,
    "reasoning_content": str,
    "tool_call_id": str,
    "name": str,
}
_IGNORED = ("functions", "logit_bias", "parallel_tool_calls", "best_of", "echo", "prediction", "modalities", "audio")


def chat_to_ollama(body: Mapping[str, Any]) -> Translation:
    """The body of /api/chat for one of /v1/chat/completions. The model's name is left out.

    Raises:
        RequestError: 400, a field has the wrong type, or asks for what Ollama cannot do.
    """
    result = Translation({"messages": messages_to_ollama(objects(body.get("messages"), "messages"))})
    _common(result, body)
    tools = objects(body.get("tools"), "tools")
    choice: object = body.get("tool_choice")
    if tools and choice != "none":
        made = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
        wanted = section(section(choice).get("function")).get("name")
        # Ollama cannot make a model call a tool; that it can call no other is as near as it gets.
        result.body["tools"] = [tool for tool in made if tool["function"].get("name") == wanted] or made
        if choice not in (None, "auto"):
            result.ignored.append("tool_choice")
    _format(result, body.get("response_format"))
    effort: object = body.get("reasoning_effort")
    if effort is not None:
        check(effort, str, "reasoning_effort")
        result.body["think"] = {"none": False, "minimal": "low", "xhigh": "high"}.get(str(effort), effort)
    if body.get("logprobs"):
        check(body["logprobs"], bool, "logprobs")
        result.body["logprobs"] = True
        if body.get("top_logprobs"):
            check(body["top_logprobs"], int, "top_logprobs")
            result.body["top_logprobs"] = body["top_logprobs"]
    return result


def completion_to_ollama(body: Mapping[str, Any]) -> Translation:
    """The body of /api/generate for one of /v1/completions.

    The prompt goes through the model's template, as on Ollama's own /v1/completions.

    Raises:
        RequestError: 400, a field has the wrong type, or asks for what Ollama cannot do.
    """
    prompt: object = body.get("prompt")
    if isinstance(prompt, list):
        prompts = strings(cast("list[object]", prompt), "prompt")
        if len(prompts) != 1:
            raise RequestError(400, "prompt must be one string: this model takes one at a time", param="prompt")
        prompt = prompts[0]
    if prompt is None:
        raise RequestError(400, "prompt is required", param="prompt")
    check(prompt, str, "prompt")
    result = Translation({"prompt": prompt})
    check_fields(body, {"suffix": str, "logprobs": int})
    if body.get("suffix"):
        result.body["suffix"] = body["suffix"]
    if body.get("logprobs"):
        result.body |= {"logprobs": True, "top_logprobs": body["logprobs"]}
    _common(result, body)
    return result


def embedding_to_ollama(body: Mapping[str, Any]) -> Translation:
    """The body of /api/embed for one of /v1/embeddings.

    Raises:
        RequestError: 400, the input is neither a string nor a list of strings.
    """
    text: object = body.get("input")
    if text is None:
        raise RequestError(400, "input is required", param="input")
    result = Translation({"input": text if isinstance(text, str) else strings(text, "input")})
    check_fields(body, {"dimensions": int, "encoding_format": str})
    if body.get("dimensions") is not None:
        result.body["dimensions"] = body["dimensions"]
    result.body["truncate"] = False
    return result


def messages_to_ollama(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns of a conversation. Parts become text and images; a tool's answer gets its tool's name.

    Raises:
        RequestError: 400, a field has the wrong type, or an image is not a data URL.
    """
    result: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    """The tools that were called, by the id of the call."""
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        check_fields(
            message,
            {
                "role": str,
                "content": TEXT_OR_LIST,
                "reasoning_content": str,
                "tool_call_id": str,
                "name": str,
            },
            f"{path}.",
        )
        if not message.get("role"):
            raise RequestError(400, f"{path}.role is required", param=f"{path}.role")
        role = message["role"].lower()
        if role == "function":  # OpenAI's older word for the answer of a tool
            role = "tool"
        text, images = _content(message.get("content"), f"{path}.content")
        turn: dict[str, Any] = {"role": "system" if role == "developer" else role, "content": text}
        if images:
            turn["images"] = images
        if message.get("reasoning_content"):
            turn["thinking"] = message["reasoning_content"]
        calls = objects(message.get("tool_calls"), f"{path}.tool_calls")
        if calls:
            turn["tool_calls"] = [_call(call, f"{path}.tool_calls[{at}]") for at, call in enumerate(calls)]
            names |= {call["id"]: call["function"]["name"] for call in turn["tool_calls"] if "id" in call}
        if role == "tool":
            call_id = message.get("tool_call_id") or ""
            turn["tool_name"] = message.get("name") or names.get(call_id, "")
            if call_id:
                turn["tool_call_id"] = call_id
        result.append(turn)
    return result


def _content(content: str | list[object] | None, path: str) -> tuple[str, list[str]]:
    if content is None or isinstance(content, str):
        return content or "", []
    texts: list[str] = []
    images: list[str] = []
    for index, part in enumerate(objects(content, path)):
        where = f"{path}[{index}]"
        kind: object = part.get("type")
        if kind in ("text", "refusal"):
            check(part.get(kind), str, f"{where}.{kind}")
            texts.append(part[kind])
        elif kind == "image_url":
            image: object = part.get("image_url")
            url: object = cast("dict[str, object]", image).get("url") if isinstance(image, dict) else image
            check(url, str, f"{where}.image_url.url")
            head, comma, data = str(url).partition(",")
            if not (head.startswith("data:") and head.endswith(";base64") and comma):
                raise RequestError(
                    400,
                    f"{where}.image_url.url must be a data URL (data:image/png;base64,...): "
                    "this model's server fetches no images",
                    param=where,
                )
            images.append(data)
        else:
            raise RequestError(
                400, f"{where}.type must be text or image_url, not {json.dumps(kind)}", param=f"{where}.type"
            )
    return "\n".join(texts), images


def _call(call: Mapping[str, Any], path: str) -> dict[str, Any]:
    check_fields(call, {"function": dict, "id": str}, f"{path}.")
    function: dict[str, Any] = call.get("function") or {}
    check_fields(function, {"name": str, "arguments": str}, f"{path}.function.")
    where = f"{path}.function.arguments"
    try:
        arguments: object = json.loads(function.get("arguments") or "{}")
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"{where} must be an object written as JSON: {error}", param=where) from error
    check(arguments, dict, where)
    made: dict[str, Any] = {"function": {"name": function.get("name") or "", "arguments": arguments}}
    if call.get("id"):
        made["id"] = call["id"]
    return made


def _tool(tool: Mapping[str, Any], path: str) -> dict[str, Any]:
    check_fields(tool, {"type": str, "function": dict}, f"{path}.")
    function: dict[str, Any] = dict(tool.get("function") or {})
    check_fields(function, {"name": str, "description": str, "parameters": dict}, f"{path}.function.")
    if not function.get("parameters"):
        function["parameters"] = {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def _format(result: Translation, wanted: object) -> None:
    if wanted is None:
        return
    check(wanted, dict, "response_format")
    shape = cast("dict[str, Any]", wanted)
    kind: object = shape.get("type")
    if kind == "json_object":
        result.body["format"] = "json"
    elif kind == "json_schema":
        schema: object = shape.get("json_schema")
        check(schema, dict, "response_format.json_schema")
        inner: object = cast("dict[str, object]", schema).get("schema")
        check(inner, dict, "response_format.json_schema.schema")
        result.body["format"] = inner
    elif kind not in ("text", None):
        raise RequestError(
            400, "response_format.type must be text, json_object or json_schema", param="response_format.type"
        )


def _common(result: Translation, body: Mapping[str, Any]) -> None:
    options: dict[str, Any] = {}
    for name, ollama_name in _OPTIONS.items():
        value = body.get(name)
        if value is not None:
            check(value, NUMBER, name)
            options[ollama_name] = int(value) if name in _INTEGERS else value
    if options.get("num_predict") == 0:
        # To Ollama, nothing is no limit.
        name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        raise RequestError(400, f"{name} must be at least 1", param=name)
    stop: Any = body.get("stop")
    if stop:
        options["stop"] = [stop] if isinstance(stop, str) else strings(stop, "stop")
    if options:
        result.body["options"] = options
    if body.get("n") not in (None, 1):
        check(body["n"], int, "n")
        raise RequestError(400, "n must be 1: this model's server gives one answer a request", param="n")
    if body.get("keep_alive") is not None:
        result.body["keep_alive"] = body["keep_alive"]
    result.body["stream"] = body.get("stream") is True
    # Ollama would leave turns out of a prompt that is too long, and forget the beginning of a long answer.
    # OpenAI's clients are told instead: with an error, or with "length" as the reason to finish.
    result.body |= {"truncate": False, "shift": False}
    result.ignored += [name for name in _IGNORED if body.get(name)]
