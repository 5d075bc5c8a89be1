"""A plain program with OpenAI's SDK: the fleet says where the router is and which model to ask.

PADDOCK_STACK=dev python examples/openai_sdk.py "Who wrote Hamlet?"
"""

from __future__ import annotations

import sys

from agent_runtime import Fleet


def main(question: str) -> None:
    """Ask the fleet's chat model, and print the answer as it comes."""
    fleet = Fleet.from_env()
    model = fleet.model(capability="chat")
    with fleet.openai() as client:
        stream = client.chat.completions.create(
            model=model.name, messages=[{"role": "user", "content": question}], max_tokens=64, stream=True
        )
        for chunk in stream:
            if chunk.choices:
                sys.stdout.write(chunk.choices[0].delta.content or "")
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "Who wrote Hamlet?")
