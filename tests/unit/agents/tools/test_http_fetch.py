"""Pages of allowed hosts: what is asked, where the connection really goes, and what comes back."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from agent_runtime.agents.tools.allowed_hosts import AllowedHost
from agent_runtime.agents.tools.errors import ToolError, ToolSetupError
from agent_runtime.agents.tools.http_fetch import WebPages, page_text

PUBLIC = "93.184.216.34"
Answer = Callable[[httpx.Request], httpx.Response]


class Web:
    """A web of one answer, and the names that lead to it."""

    def __init__(self, answer: Answer, **addresses: list[str]) -> None:
        self.answer = answer
        self.addresses = {name.replace("_", "."): found for name, found in addresses.items()}
        self.asked: list[httpx.Request] = []
        self.looked_up: list[str] = []

    def fetch(self, url: str, *allowed: str, most_bytes: int = 10_000) -> str:
        def handle(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            return self.answer(request)

        async def find(host: str, _: int) -> list[str]:
            self.looked_up.append(host)
            return self.addresses.get(host, [PUBLIC])

        pages = WebPages(
            allowed or ("example.org",), most_bytes=most_bytes, find=find, transport=httpx.MockTransport(handle)
        )
        return asyncio.run(pages.http_fetch(url))


def says(text: str, kind: str = "text/plain") -> Answer:
    return lambda _: httpx.Response(200, text=text, headers={"content-type": kind})


def test_a_page_is_fetched_from_the_address_that_was_checked() -> None:
    web = Web(says("hello"))
    assert web.fetch("https://example.org/a?b=1") == "[https://example.org/a?b=1]\nhello"
    (request,) = web.asked
    assert request.url.host == PUBLIC, "the name is looked up once, so that it cannot change its address in between"
    assert request.headers["host"] == "example.org"
    assert request.extensions["sni_hostname"] == "example.org"
    assert web.looked_up == ["example.org"]


def test_ipv4_is_tried_before_ipv6() -> None:
    web = Web(says("hello"), example_org=["2606:2800:220:1:248:1893:25c8:1946", PUBLIC])
    web.fetch("https://example.org/")
    assert web.asked[0].url.host == PUBLIC


def test_html_becomes_text() -> None:
    html = "<html><head><title>T</title><style>p{}</style></head><body><h1>Big</h1><p>one <b>two</b></p><script>x()"
    assert page_text(html) == "Big\none two"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.org/",
        "https://example.org.evil.org/",
        "https://notexample.org/",
        "https://example.org:8443/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://example.org/",
        "https://user:word@example.org/",
        "https://",
        "no url",
    ],
)
def test_what_is_not_allowed_is_not_asked(url: str) -> None:
    web = Web(says("hello"))
    with pytest.raises(ToolError):
        web.fetch(url)
    assert web.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "fec0::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "224.0.0.1",
    ],
)
def test_a_name_that_leads_to_a_private_address_is_not_followed(address: str) -> None:
    web = Web(says("secret"), example_org=[PUBLIC, address])
    with pytest.raises(ToolError, match="not on the public internet"):
        web.fetch("https://example.org/")
    assert web.asked == []


def test_a_redirect_is_followed_only_where_it_is_allowed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        to = {"/there": "/here", "/away": "https://evil.org/", "/inside": "http://10.0.0.1/", "/loop": "/loop"}
        if request.url.path in to:
            return httpx.Response(302, headers={"location": to[request.url.path]})
        return httpx.Response(200, text="arrived")

    assert Web(answer).fetch("https://example.org/there") == "[https://example.org/here]\narrived"
    for path in ("/away", "/inside"):
        with pytest.raises(ToolError, match="is not among the allowed hosts"):
            Web(answer).fetch(f"https://example.org{path}")
    with pytest.raises(ToolError, match="redirected more than 5 times"):
        Web(answer).fetch("https://example.org/loop")


def test_pages_are_bounded_and_have_to_be_text() -> None:
    with pytest.raises(ToolError, match="is longer than 10000 bytes"):
        Web(says("x" * 20_000)).fetch("https://example.org/")
    with pytest.raises(ToolError, match="is image/png, not text"):
        Web(says("x", "image/png")).fetch("https://example.org/")
    with pytest.raises(ToolError, match="answered 404"):
        Web(lambda _: httpx.Response(404)).fetch("https://example.org/")


@pytest.mark.parametrize(
    ("entry", "host", "port", "covered"),
    [
        ("example.org", "example.org", 443, True),
        ("example.org", "www.example.org", 443, False),
        ("*.example.org", "www.example.org", 443, True),
        ("*.example.org", "example.org", 443, True),
        ("*.example.org", "badexample.org", 443, False),
        ("example.org:8443", "example.org", 8443, True),
        ("example.org:8443", "example.org", 443, False),
        ("[::1]:8080", "::1", 8080, True),
    ],
)
def test_entries_of_the_list(entry: str, host: str, port: int, covered: bool) -> None:
    assert AllowedHost.parse(entry).covers(host, port) is covered


@pytest.mark.parametrize("entry", ["", "https://example.org", "example.org:99999", "*", "a b"])
def test_entries_that_are_no_hosts_are_refused(entry: str) -> None:
    with pytest.raises(ToolSetupError):
        WebPages([entry])


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ToolSetupError, match="needs hosts"):
        WebPages([])


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write("<p>Grüße</p>".encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def test_a_private_server_is_asked_where_the_list_names_it_with_its_port(server: str) -> None:
    url = f"http://{server}/"
    assert asyncio.run(WebPages([server]).http_fetch(url)) == f"[{url}]\nGrüße"
