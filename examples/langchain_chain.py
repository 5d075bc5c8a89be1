"""The same fleet in LangChain: address, key and model's name come from the contract. Needs langchain-openai.

PADDOCK_STACK=dev python examples/langchain_chain.py "Lima"
"""

from __future__ import annotations

import sys

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from agent_runtime import Fleet


def main(city: str) -> None:
    """Run a chain of a prompt, the fleet's model and a parser."""
    fleet = Fleet.from_env()
    model = ChatOpenAI(
        model=fleet.model(capability="chat").name,
        base_url=fleet.openai_url,
        api_key=SecretStr(fleet.api_key or "none"),
    )
    prompt = ChatPromptTemplate.from_template("Which country is {city} in? Answer with its name.")
    chain = prompt | model.bind(max_tokens=64) | StrOutputParser()
    sys.stdout.write(f"{chain.invoke({'city': city})}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "Lima")
