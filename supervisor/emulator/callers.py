"""Many legs over real connections, all served by one tick of 20 ms, so that two hundred cost a process little."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from .asterisk import PTIME, Leg

PARTING = 5.0  # seconds for the other side to end, once all is said
CONNECT = 2.0  # seconds, as Asterisk has it
SPREAD = 1.0  # seconds over which calls begin


async def place(legs: Sequence[Leg], host: str, port: int, *, spread: float = SPREAD) -> None:
    """Run all calls to their end; each leg's verdict says how it came out."""
    lines: list[_Line] = []
    try:
        async with trio.open_nursery() as nursery:
            for number, leg in enumerate(legs):
                nursery.start_soon(_connect, leg, host, port, number * spread / len(legs), lines.append)
            await _tick(lines, legs)
    finally:
        for line in lines:
            line.close()


class _Line:
    """A leg and its socket."""

    def __init__(self, leg: Leg, connection: socket.socket) -> None:
        self.leg = leg
        self._socket = connection
        self._began = trio.current_time()
        self._pending = b""
        self._shut = 0.0  # when all was said

    def step(self, now: float) -> bool:
        """One tick; whether the call is still on."""
        leg, at = self.leg, now - self._began
        self._read(at)
        self._write(leg.due(at))
        if leg.finished and not self._shut and not self._pending and not leg.verdict:
            self._shut = now
            with suppress(OSError):  # it has gone already, which the next read tells
                self._socket.shutdown(socket.SHUT_WR)
        if self._shut and now - self._shut > PARTING:
            leg.ended()
        if not leg.verdict:
            return True
        if leg.torn_down:  # what Asterisk has not read makes its kernel reset the connection
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()
        return False

    def close(self) -> None:
        self._socket.close()

    def _read(self, at: float) -> None:
        """Once in a tick: it is more than any audio comes to, and who sends more takes no other's time."""
        try:
            data = self._socket.recv(65536)
            if data:
                self.leg.came(data, at)
            else:
                self.leg.ended()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.leg.broke()

    def _write(self, data: bytes) -> None:
        """A frame that is cut goes on with the next tick; one that cannot even begin is the end."""
        if not (self._pending or data) or self.leg.verdict:
            return
        blocked = bool(self._pending)
        self._pending += data
        try:
            self._pending = self._pending[self._socket.send(self._pending) :]
        except (BlockingIOError, InterruptedError):
            if blocked:
                self.leg.blocked()
        except OSError:
            self.leg.broke()


async def _connect(leg: Leg, host: str, port: int, after: float, ready: Callable[[_Line], None]) -> None:
    await trio.sleep(after)
    try:
        with trio.fail_after(CONNECT):
            stream = await trio.open_tcp_stream(host, port)
    except trio.TooSlowError:
        leg.refused(f"no answer within {CONNECT:g} s")
    except OSError as error:
        leg.refused(_reason(error))
    else:
        connection = socket.socket(fileno=stream.socket.detach())
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready(_Line(leg, connection))


def _reason(error: OSError) -> str:
    """trio tells of all addresses that it tried; the first one's reason will do."""
    tried = (
        error.__cause__.exceptions if isinstance(error.__cause__, BaseExceptionGroup) else [error.__cause__ or error]
    )
    first = tried[0]
    return os.strerror(first.errno) if isinstance(first, OSError) and first.errno else str(first)


async def _tick(lines: list[_Line], legs: Sequence[Leg]) -> None:
    """Until every leg has its verdict."""
    began, tick = trio.current_time(), 0
    while any(not leg.verdict for leg in legs):
        tick = max(tick + 1, int((trio.current_time() - began) / PTIME))
        await trio.sleep_until(began + tick * PTIME)
        now = trio.current_time()
        lines[:] = [line for line in lines if line.step(now)]
