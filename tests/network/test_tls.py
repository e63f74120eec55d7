"""TLS over a wire: whom it trusts, what it says when it does not, and how it ends."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
import trustme

from supervisor.dial import route
from supervisor.tls import TlsWire
from tests.network.pairs import HOST, authority, bare_pair, client_context, pair, run, server_context


async def shake(client: ssl.SSLContext, server: ssl.SSLContext, host: str = HOST, kind: str = "memory") -> str:
    """The client's complaint about a handshake, and then the server's."""
    complaints = {}
    bare, under = bare_pair(kind, 5.0)
    wire, peer = TlsWire(bare, client, host), trio.SSLStream(under, server, server_side=True)

    async def client_side() -> None:
        try:
            await wire.handshake()
        except (ssl.SSLError, trio.BrokenResourceError) as error:
            complaints["client"] = str(error)

    async def server_side() -> None:
        try:
            await peer.do_handshake()
        except trio.BrokenResourceError as error:
            complaints["server"] = str(error.__cause__)
            await trio.aclose_forcefully(under)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bare.run)
            async with trio.open_nursery() as both:
                both.start_soon(client_side)
                both.start_soon(server_side)
            nursery.cancel_scope.cancel()
    finally:
        wire.close()
        await trio.aclose_forcefully(under)
    return f"{complaints.get('client')} | {complaints.get('server')}"


def old_server() -> ssl.SSLContext:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context = server_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def stranger() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(HOST).configure_cert(context)
    return context


@pytest.mark.parametrize("server, host, why, alert", [
    (stranger, HOST, "certificate verify failed", "ALERT_UNKNOWN_CA"),
    (lambda: server_context("other.example.com"), HOST, "Hostname mismatch", "ALERT_BAD_CERTIFICATE"),
    (lambda: server_context("10.0.0.1"), "10.0.0.2", "IP address mismatch", "ALERT_BAD_CERTIFICATE"),
    (old_server, HOST, "", "UNSUPPORTED_PROTOCOL"),
], ids=["untrusted", "wrong name", "wrong address", "TLS 1.1"])  # fmt: skip
@pytest.mark.parametrize("kind", ["memory", "socket"])
def test_a_server_that_is_not_trusted_is_refused_and_told_why(kind, server, host, why, alert):
    async def main() -> None:
        told = await shake(client_context(), server(), host, kind)

        ours, _, theirs = told.partition(" | ")

        assert why in ours
        assert ours != "None"
        assert alert in theirs

    run(kind, main)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_that_are_in_use_are_spoken(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        server = server_context()
        server.minimum_version = server.maximum_version = version

        assert await shake(client_context(), server) == "None | None"

    run("memory", main)


def test_a_server_that_hangs_up_during_the_handshake_is_an_error_at_once() -> None:
    async def main() -> None:
        bare, under = bare_pair("memory", 5.0)
        wire = TlsWire(bare, client_context(), HOST)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(under.aclose)
            with pytest.raises(ssl.SSLEOFError):
                await wire.handshake()
        wire.close()

        assert trio.current_time() < 0.1

    run("memory", main)


def test_a_server_that_does_not_speak_tls_is_an_error_at_once() -> None:
    async def main() -> None:
        bare, under = bare_pair("memory", 5.0)
        wire = TlsWire(bare, client_context(), HOST)
        await under.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\nplain HTTP on this port")
        with pytest.raises(ssl.SSLError, match=r"WRONG_VERSION_NUMBER|wrong version number|RECORD_LAYER"):
            await wire.handshake()
        wire.close()
        await under.aclose()

    run("memory", main)


@pytest.mark.parametrize("kind", ["memory tls", "socket tls"])
def test_closing_says_goodbye(kind: str) -> None:
    """To a server, an end without close_notify is a connection that was cut."""

    async def main() -> None:
        async with pair(kind) as both:
            both.wire.put(b"the last frame")
            await both.wire.drained()
            both.wire.close()

            assert await both.peer.receive_some() == b"the last frame"
            assert await both.peer.receive_some() == b""  # would raise without a goodbye

    run(kind, main)


@pytest.mark.parametrize("kind", ["memory tls", "socket tls"])
def test_closing_without_a_goodbye_does_not_wait_for_a_peer_that_does_not_read(kind: str) -> None:
    async def main() -> None:
        async with pair(kind) as both:
            while both.wire.clear:
                both.wire.put(bytes(20_000))
            both.wire.close()
            with pytest.raises(trio.BrokenResourceError):
                await read_all(both.peer)

    run(kind, main)


async def read_all(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        pass


@pytest.mark.parametrize("kind", ["memory tls", "socket tls"])
def test_a_goodbye_of_the_server_is_its_end_but_what_it_said_before_is_heard(kind: str) -> None:
    async def main() -> None:
        async with pair(kind) as both:
            await both.peer.send_all(b"the last word")
            both.nursery.start_soon(both.peer.aclose)

            assert await both.wire.receive() == b"the last word"
            assert await both.wire.receive() == b""

    run(kind, main)


def test_a_record_that_was_tampered_with_ends_the_connection() -> None:
    """The words before it are heard, nothing after it is, and the server is told."""

    async def main() -> None:
        async with pair("memory tls") as both:
            await both.peer.send_all(b"authentic")
            await both.under.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))

            assert await both.wire.receive() == b"authentic"
            for _ in range(2):
                with pytest.raises(trio.BrokenResourceError, match=r"BAD_RECORD_MAC|DECRYPTION_FAILED"):
                    await both.wire.receive()
            with pytest.raises(trio.BrokenResourceError):
                both.wire.put(b"more")
            with pytest.raises(trio.BrokenResourceError) as told:
                await both.peer.receive_some()

            assert "ALERT_BAD_RECORD_MAC" in str(told.value.__cause__)

    run("memory", main)


def test_words_that_came_are_heard_even_if_the_answer_of_tls_cannot_be_sent() -> None:
    """What has been deciphered is not thrown away because the wire below has died."""

    async def main() -> None:
        async with pair("memory tls") as both:
            await both.peer.send_all(b"a" * 1000)
            await both.peer.send_all(b"b" * 1000)
            await trio.sleep(0.1)
            await trio.aclose_forcefully(both.under)
            await trio.sleep(0.1)
            with pytest.raises(trio.BrokenResourceError):
                both.wire.put(b"refused")

            assert await both.wire.receive() + await both.wire.receive() == b"a" * 1000 + b"b" * 1000

    run("memory", main)


@contextmanager
def trusted_file(tmp_path) -> Iterator[str]:
    with authority().cert_pem.tempfile(dir=str(tmp_path)) as path:
        yield path


def test_the_context_of_a_route_allows_no_renegotiation_and_nothing_below_1_2(tmp_path) -> None:
    """A renegotiation would make a write wait for a read, and `put` never waits."""
    with trusted_file(tmp_path) as path:
        context = route("wss://localhost/", ca=path, environ={}).tls

    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
