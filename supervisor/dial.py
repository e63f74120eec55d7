"""From a URL to a wire: name, TCP, proxy, TLS. Each failure is one OSError whose words name the step."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import trio

from .core.problem import Exit, Problem
from .tls import TlsWire
from .wire import SocketWire, Wire

Dial = Callable[[], Awaitable[Wire]]
# Milliseconds that sent data may stay unacknowledged by the peer's kernel, before ours breaks the connection.
USER_TIMEOUT = 10_000


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach one server."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    proxy: str = ""
    send_timeout: float = 5.0

    async def dial(self) -> Wire:
        """A wire, ready to use; raises OSError. The caller runs its flusher and closes it."""
        wire = SocketWire(await self._connect(), self.send_timeout)
        if self.tls is None:
            return wire
        try:
            return await self._secure(wire, self.tls)
        except BaseException:
            wire.close()
            raise

    async def _secure(self, wire: SocketWire, context: ssl.SSLContext) -> TlsWire:
        try:
            secured, problem = TlsWire(wire, context, self.host), ""
        except ValueError as error:
            raise OSError(f"{self.host} is no name that a certificate could be for: {error}") from error
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.run, name="flusher")
            try:
                await secured.handshake()
            except (ssl.SSLError, trio.BrokenResourceError) as error:
                problem = str(error)
            nursery.cancel_scope.cancel("the TLS handshake is over")
        if problem:
            raise OSError(f"TLS with {self.host} failed: {problem}")
        return secured

    async def _connect(self) -> socket.socket:
        if self.proxy:
            connected = await self._through_proxy()
        else:
            try:
                connected = (await trio.open_tcp_stream(self.host, self.port)).socket
            except socket.gaierror as error:
                raise OSError(f"cannot resolve {self.host}: {error.strerror}") from error
            except UnicodeError as error:  # a label that is empty or too long
                raise OSError(f"cannot resolve {self.host}: {error}") from error
            except OSError as error:
                raise OSError(f"cannot reach {self.host} port {self.port}: {_cause(error)}") from error
        plain = socket.socket(fileno=connected.detach())
        with contextlib.suppress(OSError):  # some systems refuse where the peer is gone already; reading will tell
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)
        return plain

    async def _through_proxy(self) -> trio.socket.SocketType:
        from python_socks.async_.trio import Proxy  # an extra: `route` has made sure that it is there

        try:
            connected = await Proxy.from_url(self.proxy).connect(self.host, self.port)
        except Exception as error:  # python-socks has several roots of errors, none of them an OSError for certain
            raise OSError(f"the proxy {_without_userinfo(self.proxy)} refused: {error}") from error
        assert isinstance(connected, trio.socket.SocketType)
        return connected


def route(url: str, *, ca: str = "", environ: Mapping[str, str] = os.environ, send_timeout: float = 5.0) -> Route:
    """The route to a ws or wss URL; `ca` is a file of certificates to trust instead of the system's.

    Raises Problem for a CA file that cannot be read and a proxy that cannot be used.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    host = parts.hostname or ""
    proxy = _proxy(host, environ) if secure else ""
    if proxy:
        _check_proxy(proxy)
    context = None
    if secure:
        try:
            context = ssl.create_default_context(cafile=ca or None)
        except OSError as error:
            raise Problem(f"the CA file {ca} cannot be used: {error}", "give a PEM file", Exit.CONFIG) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # during one a write waits for a read, and `put` never waits
    return Route(host, parts.port or (443 if secure else 80), context, proxy, send_timeout)


def _check_proxy(proxy: str) -> None:
    """Asked before there is a call, which could only try again and again; raises Problem."""
    try:
        from python_socks.async_.trio import Proxy
    except ImportError:
        raise Problem(
            "HTTPS_PROXY is set and python-socks is not installed",
            "install stream-supervisor[proxy], or name the host in NO_PROXY",
            Exit.CONFIG,
        ) from None
    try:
        Proxy.from_url(proxy)
    except ValueError:  # its words may repeat the URL, with the password in it
        raise Problem(
            "HTTPS_PROXY is not the URL of a proxy that can be used",
            "write it like http://proxy.example.com:3128, with the port; socks5:// and socks4:// are known too",
            Exit.CONFIG,
        ) from None


def _proxy(host: str, environ: Mapping[str, str]) -> str:
    """What HTTPS_PROXY says, unless NO_PROXY names the host or a domain it is in."""
    proxy = environ.get("HTTPS_PROXY") or environ.get("https_proxy") or ""
    exempt = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    for name in exempt.lower().replace(",", " ").split():
        if name == "*" or f".{host}".endswith("." + name.removeprefix("*").lstrip(".")):
            return ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def _cause(error: OSError) -> str:
    """trio tells of several attempts as the cause of one error; the first says enough."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    cause = cause or error
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(cause)


def _without_userinfo(url: str) -> str:
    return urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2]).geturl()
