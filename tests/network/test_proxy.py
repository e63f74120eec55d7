"""wss through a proxy: end to end, refused, misconfigured; and its password is never shown."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from supervisor.connection import Closed, Endpoint, connect
from supervisor.core.problem import Exit, Problem
from supervisor.dial import route
from tests.network.pairs import authority
from tests.network.tcp import complaint, exchange, real, served, tls_handler


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[str]:
    with authority().cert_pem.tempfile(dir=str(tmp_path)) as path:
        yield path


class Tunnel:
    """An HTTP proxy that knows CONNECT alone."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.target = 0  # the port it connects to, whatever it is asked for

    async def __call__(self, stream: trio.SocketStream) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive_some()
        self.requests.append(request)
        await stream.send_all(self.answer)
        if b" 200 " not in self.answer:
            return
        async with await trio.open_tcp_stream("127.0.0.1", self.target) as onward, trio.open_nursery() as nursery:
            nursery.start_soon(pump, stream, onward)
            await pump(onward, stream)
            nursery.cancel_scope.cancel()


async def pump(source: trio.SocketStream, drain: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):
        async for data in source:
            await drain.send_all(data)
        await drain.send_eof()


@pytest.mark.parametrize("userinfo, authorization", [
    ("", b""),
    ("me:p%40ss@", b"Proxy-Authorization: Basic " + b64encode(b"me:p@ss")),
])  # fmt: skip
def test_wss_goes_through_the_proxy_end_to_end(userinfo: str, authorization: bytes, ca: str) -> None:
    """The name is the proxy's to resolve, and the certificate is checked against it all the same."""
    tunnel = Tunnel()

    async def main() -> None:
        async with served(tls_handler("listen.example.com")) as tunnel.target, served(tunnel) as port:
            environ = {"HTTPS_PROXY": f"http://{userinfo}127.0.0.1:{port}"}
            where = route("wss://listen.example.com/v1/listen", ca=ca, environ=environ)

            assert await exchange(await where.dial(), bytes(50_000)) == bytes(50_000)

    real(main)

    assert tunnel.requests[0].startswith(b"CONNECT listen.example.com:443 HTTP/1.1\r\n")
    assert authorization in tunnel.requests[0]


@pytest.mark.parametrize("status, said", [
    (b"407 Proxy Authentication Required", "407"),
    (b"503 Service Unavailable", "503"),
])  # fmt: skip
def test_a_proxy_that_refuses_is_named_without_its_password(status: bytes, said: str) -> None:
    async def main() -> None:
        async with served(Tunnel(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")) as port:
            where = route("wss://x.example.com/", environ={"HTTPS_PROXY": f"http://me:secret@127.0.0.1:{port}"})
            told = await complaint(where)

            assert told.startswith(f"the proxy http://127.0.0.1:{port} refused: ")
            assert said in told
            assert "secret" not in told
            assert "me" not in told.partition("refused")[0].replace("example", "")

    real(main)


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


@pytest.mark.parametrize("behave", [hang_up, Tunnel(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), None], ids=["eof", "nonsense", "refused"])
def test_a_proxy_that_is_none_is_an_error_of_the_dial(behave: Callable[[trio.SocketStream], object] | None) -> None:
    async def main() -> None:
        async with served(behave or hang_up) as port:
            environ = {"HTTPS_PROXY": f"http://me:secret@127.0.0.1:{port if behave else 1}"}
            told = await complaint(route("wss://x.example.com/", environ=environ))

            assert told.startswith("the proxy http://127.0.0.1:")
            assert "secret" not in told

    real(main)


def test_a_proxy_that_never_answers_is_given_up_at_the_connect_timeout() -> None:
    async def say_nothing(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async def main() -> None:
        async with served(say_nothing) as port:
            where = route("wss://x.example.com/", environ={"HTTPS_PROXY": f"127.0.0.1:{port}"})
            with pytest.raises(Closed, match="no answer in time"):
                async with connect(Endpoint(where.dial, "x.example.com", "/", connect_timeout=0.3)):
                    pass

    real(main)


@pytest.mark.parametrize("url, environ, expected", [
    ("wss://api.deepgram.com/", {}, ""),
    ("wss://api.deepgram.com/", {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
    ("wss://api.deepgram.com/", {"https_proxy": "p:3128"}, "http://p:3128"),
    ("wss://api.deepgram.com/", {"HTTPS_PROXY": "socks5://p:1080"}, "socks5://p:1080"),
    ("ws://localhost/", {"HTTPS_PROXY": "http://p:3128"}, ""),
    ("wss://api.deepgram.com/", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "*"}, ""),
    ("wss://api.deepgram.com/", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "deepgram.com"}, ""),
    ("wss://api.deepgram.com/", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "a.com, .Deepgram.com"}, ""),
    ("wss://api.deepgram.com/", {"HTTPS_PROXY": "http://p:3128", "no_proxy": "*.deepgram.com"}, ""),
    ("wss://api.deepgram.com/", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "gram.com"}, "http://p:3128"),
    ("wss://api.deepgram.com/", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "eu.api.deepgram.com,,."}, "http://p:3128"),
])  # fmt: skip
def test_which_proxy_is_used(url: str, environ: dict[str, str], expected: str) -> None:
    assert expected == route(url, environ=environ).proxy


@pytest.mark.parametrize("proxy", ["http://me:secret@proxy", "https://me:secret@proxy:3128", "http://:3128", "http://me:secret@[proxy:1",
                                   "http://me:secret@p\u2100:3128", "http://me:secret@proxy:port"])  # fmt: skip
def test_a_proxy_that_cannot_be_used_is_a_problem_before_there_is_a_call(proxy: str) -> None:
    with pytest.raises(Problem) as caught:
        route("wss://api.deepgram.com/", environ={"HTTPS_PROXY": proxy})

    assert caught.value.exit_code is Exit.CONFIG
    assert "secret" not in str(caught.value)


def test_a_proxy_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks.async_.trio", None)
    with pytest.raises(Problem, match=r"stream-supervisor\[proxy\]"):
        route("wss://api.deepgram.com/", environ={"HTTPS_PROXY": "http://proxy:3128"})
