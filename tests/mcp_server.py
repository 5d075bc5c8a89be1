"""An MCP server over stdio for tests: two tools, one of which fails."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

server = MCPServer("shop")


@server.tool()
def price_of(article: str) -> float:
    """The price of an article in US dollars."""
    return {"desk": 240.0, "lamp": 32.25}[article]


@server.tool()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}."


if __name__ == "__main__":
    server.run("stdio")
