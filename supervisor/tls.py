"""TLS over any wire: the protocol is OpenSSL's, in memory, so that a record is never half taken back.

A non-blocking TLS socket that could take only part of a record must be given the very same bytes again; here OpenSSL
writes to memory and the wire below keeps the order, so there is nothing to give again.
"""

from __future__ import annotations

import contextlib
import ssl

import trio

from .wire import READ, Wire


class TlsWire(Wire):
    """The client's side of TLS; hand it over after `handshake`."""

    def __init__(self, inner: Wire, context: ssl.SSLContext, host: str) -> None:
        self._inner = inner
        self._dead = ""  # why, where TLS knows it and the wire below does not
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    async def handshake(self) -> None:
        """Needs `run` beside it; raises ssl.SSLError with OpenSSL's words, or trio.BrokenResourceError."""
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
                await self._fill()
            except ssl.SSLError:
                self._say_why()
                raise

    @property
    def clear(self) -> bool:
        return self._inner.clear

    def put(self, data: bytes) -> None:
        self._check()
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._die(error)
        self._check()
        self._flush()

    async def drained(self) -> None:
        self._check()
        await self._inner.drained()

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._check()
            try:
                data = self._tls.read(READ)
            except ssl.SSLWantReadError:
                self._flush()
                await self._fill()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                data = b""  # hung up, without a goodbye as a rule: what a dying peer does
            except ssl.SSLError as error:
                self._die(error)
                continue
            await trio.lowlevel.cancel_shielded_checkpoint()
            return data

    def _check(self) -> None:
        if self._dead:
            raise trio.BrokenResourceError(self._dead)

    def _die(self, error: ssl.SSLError) -> None:
        self._dead = str(error)
        self._say_why()
        self._inner.close()

    def _say_why(self) -> None:
        """Send the alert that OpenSSL has made, if the peer still takes it: the error itself is worth more."""
        with contextlib.suppress(trio.BrokenResourceError):
            self._flush()

    async def _fill(self) -> None:
        if data := await self._inner.receive():
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._inner.put(data)

    async def run(self) -> None:
        await self._inner.run()

    def close(self) -> None:
        """Say goodbye, if the network takes it at once: then the peer can tell our end from a cut connection."""
        if not self._dead:
            self._dead = "closed"
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._say_why()
        self._inner.close()
