"""Lines in memory, on trio's clock, and a reception that takes whatever comes."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from supervisor.core.codecs.audiosocket import SLIN
from supervisor.intakes import Taken

UUID = bytes.fromhex("40325ec25efd4bd3805f53576e581d13")
CALL_ID = "40325ec2-5efd-4bd3-805f-53576e581d13"
HELLO = b"\x01\x00\x10" + UUID


def frame(payload, kind=SLIN):
    return bytes([kind]) + len(payload).to_bytes(2, "big") + payload


@dataclass
class MemoryLine:
    """What is due has come: (when, bytes), then the end at `ends` unless that is None."""

    chunks: list[tuple[float, bytes]]
    ends: float | None = None
    breaks: bool = False
    peer: str = "10.1.2.3:40000"
    put_back: list[tuple[float, bytes]] = field(default_factory=list)
    broken: bool = False
    left: float | None = None  # when nobody wanted it any more

    def __post_init__(self):
        self._began = trio.current_time()

    def take(self):
        now = trio.current_time() - self._began + 1e-9
        came = b""
        while self.chunks and self.chunks[0][0] <= now:
            came += self.chunks.pop(0)[1]
        if not came and not self.chunks and self.ends is not None and self.ends <= now:
            self.broken = self.breaks
            return None
        return came

    def leave(self):
        self.left = trio.current_time() - self._began

    def put(self, data):
        assert self.left is None
        self.put_back.append((trio.current_time() - self._began, data))

    async def readable(self):
        due = self.chunks[0][0] if self.chunks else self.ends
        await trio.sleep_until(float("inf") if due is None else self._began + due)


@dataclass
class Host:
    """`intakes.Reception`: keeps who came, and runs what it was given for it."""

    run: object = None  # async (arrival) -> Taken
    why: str = ""
    arrivals: list = field(default_factory=list)
    rejections: list = field(default_factory=list)

    def refusal(self):
        return self.why

    async def take(self, arrival):
        self.arrivals.append(arrival)
        return await self.run(arrival) if self.run else Taken("complete")

    def rejected(self, reason, **details):
        self.rejections.append((reason, details))
