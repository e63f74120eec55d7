"""TLS over any wire: the protocol is OpenSSL's, in memory, so that a record is never half taken back.

A non-blocking TLS socket that could take only part of a record must be given the very same bytes again; here OpenSSL
writes to memory and the wire below keeps the order, so there is nothing to give again.
"""

from __future__ import annotations

import ssl

import trio

from .wire import READ, Wire


class TlsWire(Wire):
    """The client's side of TLS; hand it over after `handshake`."""

    def __init__(self, inner: Wire, context: ssl.SSLContext, host: str) -> None:
        self._inner = inner
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
                self._flush()  # the alert that tells the peer why
                raise

    @property
    def clear(self) -> bool:
        return self._inner.clear

    def put(self, data: bytes) -> None:
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(str(error)) from error
        self._flush()

    async def drained(self) -> None:
        await self._inner.drained()

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                data = self._tls.read(READ)
                self._flush()
                await trio.lowlevel.cancel_shielded_checkpoint()
                return data
            except ssl.SSLWantReadError:
                self._flush()
                await self._fill()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLEOFError:
                return b""  # hung up without a goodbye: what a dying peer does
            except ssl.SSLError as error:
                raise trio.BrokenResourceError(str(error)) from error

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
        self._inner.close()
