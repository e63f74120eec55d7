"""Raw audio over TCP: one connection a call, perhaps with a line of JSON before it that says what it is.

The protocol has no clock and no frames, so no time is filled in: the call's clock is the audio that came.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from ..config import IntakeConfig
from ..core.codecs.header import Opening, WrongHeader
from ..core.unwrap import Declared, Unwrap
from ..sources.ahead import tapped
from ..sources.feed import Feed
from . import Arrival, Reception
from .door import Door
from .line import BROKE_OFF, Line

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
    opening = Opening()
    try:
        with trio.fail_after(FIRST_WORD):
            while (data := line.take()) is not None and not opening.receive(data):
                if not data:
                    await line.readable()
            if data is None:
                opening.end()
                return None  # who connects and goes is no call
    except trio.TooSlowError:
        reception.rejected("timeout", peer=line.peer, problem=f"no header and no audio within {FIRST_WORD:g} s")
        return None
    except WrongHeader as wrong:
        line.put(msgspec.json.encode({"error": str(wrong)}) + b"\n")
        reception.rejected("malformed", peer=line.peer, problem=str(wrong))
        return None
    header = opening.header
    said = header.encoding is not None
    declared = Declared(
        header.encoding if said else config.encoding,
        header.sample_rate if said else config.sample_rate,
        header.channels or (None if said else config.channels),
    )
    source = TcpSource(line, opening.audio, declared)
    return Arrival(header.call_id or call_id, source, metadata={**header.metadata, "peer": line.peer})


@dataclass
class TcpSource:
    """One connection's audio; open it once."""

    line: Line
    early: bytes  # audio that came with the header
    declared: Declared
    label: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.label = f"tcp:{self.line.peer}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        """Waits for the rest of a header of the audio's own (WAV), if that is how it begins."""
        hint = "begin with a line of JSON that has encoding and sample_rate, or give them to the [[intake]]"
        unwrap = Unwrap(self.label, self.declared, hint=hint)
        try:
            async with tapped(_Rest(self.line, self.early, unwrap.warnings), unwrap, live=True) as feed:
                yield feed
        finally:
            self.line.leave()


@dataclass
class _Rest:
    """What a source reads from (`sources.ahead.Tap`): what came already, then the line."""

    line: Line
    came: bytes
    warnings: list[str]

    def read(self, limit: int) -> bytes | None:
        data = self.came or self.line.take()
        if data is None:
            if self.line.broken:
                self.warnings.append(BROKE_OFF)
            return b""
        self.came = data[limit:]
        return data[:limit] or None

    async def readable(self) -> None:
        await self.line.readable()
