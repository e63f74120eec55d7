"""Raw audio over TCP: one connection a call, perhaps with a line of JSON before it that says what it is.

The protocol has no clock and no frames, so no time is filled in: the call's clock is the audio that came.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from ..config import IntakeConfig
from ..core.codecs.header import LONGEST, Header, WrongHeader, parse_header
from ..core.unwrap import Declared, Unwrap
from ..sources.ahead import tapped
from ..sources.feed import Feed
from . import Arrival, Reception
from .door import Door
from .line import Line

FIRST_WORD = 10.0  # seconds for the header line, or for the first audio


class TcpIntake(Door):
    """`intakes.Intake` for `kind = "tcp"`."""

    def __init__(self, config: IntakeConfig, reception: Reception, *, log: FilteringBoundLogger) -> None:
        super().__init__(config, reception, self._hello, log)
        self._numbers = count(1)

    async def _hello(self, line: Line) -> Arrival | None:
        return await hello(line, self.config, self._reception, f"{self.config.name}-{next(self._numbers)}")


async def hello(line: Line, config: IntakeConfig, reception: Reception, call_id: str) -> Arrival | None:
    """Read the header line, if there is one; `call_id` is for who gives no other."""
    with trio.move_on_after(FIRST_WORD) as waiting:
        came = await _head(line)
    if waiting.cancelled_caught:
        reception.rejected("timeout", peer=line.peer, problem=f"no header and no audio within {FIRST_WORD:g} s")
        return None
    if not came:
        return None  # who connects and goes is no call
    try:
        header, audio = _split(came)
    except WrongHeader as wrong:
        line.put(msgspec.json.encode({"error": str(wrong)}) + b"\n")
        reception.rejected("malformed", peer=line.peer, problem=str(wrong))
        return None
    said = header.encoding is not None
    declared = Declared(
        header.encoding if said else config.encoding,
        header.sample_rate if said else config.sample_rate,
        header.channels or (None if said else config.channels),
    )
    source = TcpSource(_Rest(line, audio), declared, f"tcp:{line.peer}")
    return Arrival(header.call_id or call_id, source, metadata={**header.metadata, "peer": line.peer})


async def _head(line: Line) -> bytes:
    """The header line and what came with it, or the first audio; nothing, if it ended before there was any."""
    came = b""
    while not came or (came.startswith(b"{") and b"\n" not in came and len(came) <= LONGEST):
        data = line.take()
        if data is None:
            break
        came += data
        if not data:
            await line.readable()
    return came


def _split(came: bytes) -> tuple[Header, bytes]:
    if not came.startswith(b"{"):
        return Header(), came
    line, end, audio = came.partition(b"\n")
    if len(line) >= LONGEST:
        raise WrongHeader(f"the header line is longer than {LONGEST} bytes")
    if not end:
        raise WrongHeader("the header line has no end")
    return parse_header(line), audio


@dataclass
class _Rest:
    """What a source reads from (`sources.ahead.Tap`): what came already, then the line."""

    line: Line
    came: bytes

    def read(self, limit: int) -> bytes | None:
        if self.came:
            audio, self.came = self.came[:limit], self.came[limit:]
            return audio
        data = self.line.take()
        if data is None:
            return b""
        if len(data) > limit:
            data, self.came = data[:limit], data[limit:]
        return data or None

    async def readable(self) -> None:
        await self.line.readable()


@dataclass
class TcpSource:
    """One connection's audio; open it once."""

    rest: _Rest
    declared: Declared
    label: str

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        hint = "begin with a line of JSON that has encoding and sample_rate, or give them to the [[intake]]"
        async with tapped(self.rest, Unwrap(self.label, self.declared, hint=hint), live=True) as feed:
            yield feed
