"""From a URL to a wire: each step that fails is one OSError whose words name the step, and nothing stays open."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from supervisor.connection import Closed, Endpoint, connect
from supervisor.core.problem import Exit, Problem
from supervisor.dial import Route, route
from tests.network.pairs import authority
from tests.network.tcp import complaint, echo, exchange, real, served, tls_handler


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[str]:
    with authority().cert_pem.tempfile(dir=str(tmp_path)) as path:
        yield path


def test_a_tcp_wire_carries_bytes_and_is_set_up_for_a_network_that_falls_silent() -> None:
    async def main() -> None:
        async with served(echo) as port:
            wire = await route(f"ws://127.0.0.1:{port}/", environ={}).dial()
            inner = wire._socket

            assert inner.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert inner.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert inner.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            assert await exchange(wire) == b"there and back"

    real(main)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".invalid", ".invalid"])
def test_a_name_that_cannot_be_resolved_says_so(host: str) -> None:
    class Nowhere(trio.abc.HostnameResolver):
        """No test asks the network for a name."""

        async def getaddrinfo(self, *_: object) -> list[object]:
            await trio.lowlevel.checkpoint()
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def getnameinfo(self, *_: object) -> tuple[str, str]:
            raise NotImplementedError  # an abstract method of the resolver's, which a dial never asks for

    async def main() -> None:
        trio.socket.set_custom_hostname_resolver(Nowhere())

        assert (await complaint(Route(host, 443, None))).startswith(f"cannot resolve {host}: ")

    real(main)


def test_a_port_that_refuses_says_so() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

        assert await complaint(Route("127.0.0.1", port, None)) == f"cannot reach 127.0.0.1 port {port}: Connection refused"

    real(main)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_server_that_never_answers_is_given_up_at_the_connect_timeout(scheme: str) -> None:
    """Over TCP it is the upgrade that is not answered, over TLS the handshake."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:  # the kernel accepts, and nobody else does
            where = route(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/", environ={})
            began = trio.current_time()
            with pytest.raises((Closed, ExceptionGroup)):
                async with connect(Endpoint(where.dial, "127.0.0.1", "/", connect_timeout=0.3)):
                    pass

            assert 0.3 <= trio.current_time() - began < 5

    real(main)


def test_a_server_whose_backlog_is_full_is_given_up_at_the_connect_timeout() -> None:
    """Its SYNs are dropped, as by a firewall: nothing is refused and nothing answers."""

    async def main() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            waiting = [socket.socket() for _ in range(4)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(address)
            where = Route(*address, None)
            began = trio.current_time()
            with pytest.raises(Closed) as caught:
                async with connect(Endpoint(where.dial, "127.0.0.1", "/", connect_timeout=0.3)):
                    pass
            for each in waiting:
                each.close()

            assert caught.value.closure.reason == "cannot reach 127.0.0.1: no answer in time"
            assert not caught.value.closure.opened
            assert 0.3 <= trio.current_time() - began < 5

    real(main)


def test_a_certificate_of_ones_own_authority_is_trusted_when_named(ca: str) -> None:
    async def main() -> None:
        handle = tls_handler("localhost", "127.0.0.1")
        async with served(handle) as port:
            for host in ("127.0.0.1", "localhost"):
                wire = await Route(host, port, route("wss://localhost/", ca=ca, environ={}).tls).dial()

                assert await exchange(wire, bytes(100_000)) == bytes(100_000)

    real(main)


@pytest.mark.parametrize("names, host, trusted, why", [
    (("127.0.0.1",), "127.0.0.1", False, "certificate verify failed"),
    (("other.example.com",), "127.0.0.1", True, "IP address mismatch"),
    (("other.example.com",), "localhost", True, "Hostname mismatch"),
])  # fmt: skip
def test_a_certificate_that_is_not_trusted_ends_the_dial_at_once(names, host, trusted, why, ca):
    async def main() -> None:
        async with served(tls_handler(*names)) as port:
            where = route(f"wss://{host}:{port}/", ca=ca if trusted else "", environ={})
            began = trio.current_time()
            told = await complaint(where)

            assert told.startswith(f"TLS with {host} failed: ")
            assert why in told
            assert trio.current_time() - began < 5

    real(main)


@pytest.mark.parametrize("behave, why", [
    (lambda stream: stream.aclose(), "EOF|reset"),
    (lambda stream: stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "WRONG_VERSION_NUMBER|wrong version number|RECORD_LAYER"),
])  # fmt: skip
def test_a_server_that_does_not_speak_tls_ends_the_dial_at_once(behave, why):
    async def main() -> None:
        async with served(behave) as port:
            with pytest.raises(OSError, match=f"TLS with 127.0.0.1 failed: .*({why})"):
                await route(f"wss://127.0.0.1:{port}/", environ={}).dial()

    real(main)


def test_a_name_no_certificate_can_be_for_is_an_error_of_the_dial() -> None:
    """A proxy may have resolved it; TLS cannot."""

    async def main() -> None:
        async def connected(_: Route) -> socket.socket:
            await trio.lowlevel.checkpoint()
            ours, theirs = socket.socketpair()
            theirs.close()
            return ours

        where = Route("a..b", 443, ssl.create_default_context())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Route, "_connect", connected)

            assert (await complaint(where)).startswith("a..b is no name that a certificate could be for")

    real(main)


def test_a_cancelled_dial_leaves_nothing_open() -> None:
    """At the TCP connect, and at each step of the TLS handshake."""
    hung_up: list[trio.SocketStream] = []
    both = trio.Event()

    async def dawdle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass
        hung_up.append(stream)
        if len(hung_up) == 2:
            both.set()

    async def main() -> None:
        async with served(dawdle) as port:
            where = route(f"wss://127.0.0.1:{port}/", environ={})
            for patience in (0, 0.01, 0.05):
                with trio.move_on_after(patience):
                    await where.dial()
            await both.wait()

    real(main)


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_ca_file_that_cannot_be_used_is_a_problem_of_the_config(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Problem) as caught:
        route("wss://localhost/", ca=str(path), environ={})

    assert caught.value.exit_code is Exit.CONFIG
    assert str(path) in caught.value.cause


@pytest.mark.parametrize("url, expected", [
    ("wss://api.deepgram.com/v1/listen", ("api.deepgram.com", 443)),
    ("ws://localhost/", ("localhost", 80)),
    ("wss://[::1]:8443/", ("::1", 8443)),
])  # fmt: skip
def test_a_url_names_the_host_and_the_port(url: str, expected: tuple[str, int]) -> None:
    where = route(url, environ={})

    assert expected == (where.host, where.port)
    assert (where.tls is not None) == url.startswith("wss")
