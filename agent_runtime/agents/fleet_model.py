"""A fleet's model as the agent loop wants it: OpenAI's dialect, as open models' servers speak it."""

from __future__ import annotations

from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles import InlineDefsJsonSchemaTransformer
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider


def chat_model(name: str, client: AsyncOpenAI, *, context_length: int) -> OpenAIChatModel:
    """The model that a router serves under a name.

    Args:
        name: A model or an alias.
        client: Reaches the router.
        context_length: The model's window, in tokens.
    """
    profile = OpenAIModelProfile(
        context_window=context_length,
        # Templates of small models, and Ollama's, lose what a reference points to.
        json_schema_transformer=InlineDefsJsonSchemaTransformer,
        supports_json_schema_output=True,
        supports_json_object_output=True,
        openai_supports_strict_tool_definition=False,
        openai_chat_supports_max_completion_tokens=False,
        # A stream without one was cut off: an answer that looks whole and is not.
        openai_chat_streaming_requires_finish_reason=True,
        openai_chat_supports_multiple_system_messages=False,
    )
    provider = OpenAICompatibleProvider("paddock", openai_client=client)
    return OpenAIChatModel(name, provider=provider, profile=profile)
