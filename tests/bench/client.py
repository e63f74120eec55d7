"""One measurement: so many calls for so many seconds, in this process. Prints milliseconds of CPU per call-second."""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio
import trio_websocket

from supervisor.call import Call, Spec
from supervisor.core.audio import AudioFormat
from supervisor.core.pool import Pool
from supervisor.core.problem import Problem
from supervisor.events import Event
from supervisor.grid import PERIOD, Grid
from supervisor.logs import build
from supervisor.running import Running, running
from supervisor.service import Deepgram
from supervisor.sinks.encoding import json_line
from supervisor.sources import End, Feed, Filled

AUDIO = AudioFormat("linear16", 16000)
PACKET = 640  # bytes in 20 ms
WARM_UP = 4.0  # seconds before the measurement: calls are dialled and settle


@dataclass(eq=False)
class Fed:
    """A source whose packets are put into it: what an intake does, without its wire."""

    label: str = "bench"
    format: AudioFormat = AUDIO
    live: bool = True
    duration: float | None = None
    warnings: list[str] = field(default_factory=list)
    packets: deque[bytes] = field(default_factory=deque)
    ended: bool = False

    def take(self) -> bytes | Filled | End | None:
        if not self.packets:
            return End() if self.ended else None
        audio = b"".join(self.packets)
        self.packets.clear()
        return audio

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        yield self


async def feed(feeds: list[Fed], until: Callable[[], bool]) -> None:
    """One task gives every call its packet, every 20 ms."""
    noise = random.Random(0).randbytes(PACKET)
    began, packets = trio.current_time(), 0
    while not until():
        due = int((trio.current_time() - began) / 0.02)
        for _ in range(due - packets):
            for each in feeds:
                each.packets.append(noise)
        packets = due
        await trio.sleep_until(began + (packets + 1) * 0.02)
    for each in feeds:
        each.ended = True


async def measure(seconds: float, calls: int, report: dict[str, float]) -> None:
    await trio.sleep(WARM_UP)
    cpu, wall = time.process_time(), time.perf_counter()
    await trio.sleep(seconds)
    elapsed = time.perf_counter() - wall
    report["ms"] = 1000 * (time.process_time() - cpu) / (calls * elapsed)


class Written:
    """A sink that makes each event a line, at once, and drops it: the cost of telling, without a disk's."""

    name = "bench"
    backlog = 0

    def __init__(self) -> None:
        self.bytes = 0
        self._closed = trio.Event()

    def offer(self, event: Event) -> None:
        self.bytes += len(json_line(event))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await self._closed.wait()

    def close(self) -> None:
        self._closed.set()

    def undelivered(self) -> list[Event]:
        return []


async def ours(url: str, ca: str, calls: int, seconds: float, report: dict[str, float]) -> None:
    """The whole path: source, ledger, pacing, session, seam, events as JSON."""
    deepgram = Deepgram(url, ca=ca, environ={})
    log = build({}, level="warning", fd=os.open(os.devnull, os.O_WRONLY))
    feeds = [Fed() for _ in range(calls)]
    results = []

    async def body(these: Running) -> None:
        async def call(number: int) -> None:
            spec = Spec(call_id=f"call-{number}", source=feeds[number], offer=deepgram.offer({}))
            results.append((await these.call(Call(spec, these.world, phase=number))).result)

        async with trio.open_nursery() as nursery:
            for number in range(calls):
                nursery.start_soon(call, number)
            nursery.start_soon(feed, feeds, lambda: "ms" in report)
            await measure(seconds, calls, report)

    def tell(problem: Problem, call_id: str = "") -> None:
        raise AssertionError(f"{call_id}: {problem}")

    await running(body, [Written()], log=log, tell=tell, pool=Pool(), chance=random.Random(0))
    sessions = sum(result.ended.sessions for result in results if result)
    assert sessions == calls, f"{sessions} sessions for {calls} calls: the machine is too slow for this"
    assert all(result and result.outcome == "complete" for result in results)


async def bare(
    url: str, ca: str, calls: int, seconds: float, report: dict[str, float], *, shared: bool = False
) -> None:
    """A bare trio-websocket loop: a frame each 100 ms on absolute deadlines, results parsed. No replay, no account.

    `shared`: woken by our grid rather than by a timer of its own, as nobody's is, to tell the two apart.
    """
    del ca
    grid = Grid()
    feeds = [Fed() for _ in range(calls)]

    async def call(number: int) -> None:
        async with trio_websocket.open_websocket_url(url) as ws, trio.open_nursery() as nursery:
            nursery.start_soon(hear, ws)
            due = trio.current_time() + PERIOD * number / calls  # no two real calls begin at the same moment
            while "ms" not in report:
                audio = feeds[number].take()
                if isinstance(audio, bytes):
                    await ws.send_message(audio)
                due += PERIOD
                await (grid.next(number) if shared else trio.sleep_until(due))
            nursery.cancel_scope.cancel()

    async def hear(ws: trio_websocket.WebSocketConnection) -> None:
        while True:
            json.loads(await ws.get_message())

    async with trio.open_nursery() as everything:
        everything.start_soon(grid.run)
        async with trio.open_nursery() as nursery:
            for number in range(calls):
                nursery.start_soon(call, number)
            nursery.start_soon(feed, feeds, lambda: "ms" in report)
            await measure(seconds, calls, report)
        everything.cancel_scope.cancel()


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=("ours", "bare", "shared"))
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--ca", default="")
    arguments.add_argument("--calls", type=int, required=True)
    arguments.add_argument("--seconds", type=float, required=True)
    args = arguments.parse_args()
    report: dict[str, float] = {}
    what = {"ours": ours, "bare": bare, "shared": partial(bare, shared=True)}[args.what]
    trio.run(partial(what, args.url, args.ca, args.calls, args.seconds, report))
    print(report["ms"])


if __name__ == "__main__":
    main()
