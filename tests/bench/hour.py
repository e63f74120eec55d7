"""One simulated hour of many calls, whose server drops each connection every twenty seconds: nothing is lost, nothing grows.

It runs on the jumping clock, with the emulator's own finals (every three to eight seconds) and its own count.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import trio

from supervisor.emulator.faults import Reset
from supervisor.emulator.plan import Plan
from supervisor.events import CallEnded, Event
from supervisor.sinks.memory import MemorySink
from tests.daemon.hosting import House, host
from tests.simulation import speaker

DROP = 20.0  # seconds of each connection


@dataclass
class Sample:
    """What there is of everything that could grow."""

    at: float
    kib: float
    tasks: int
    descriptors: int
    sessions: int


class Ends(MemorySink):
    """Keeps how calls ended, and no more: an hour of words would be growth of the measurement's own."""

    def offer(self, event: Event) -> None:
        if isinstance(event, CallEnded):
            super().offer(event)


def sample(house: House) -> Sample:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    statistics = trio.lowlevel.current_statistics()
    return Sample(
        trio.current_time(),
        pages * os.sysconf("SC_PAGE_SIZE") / 1024,
        statistics.tasks_living,
        len(list(Path("/proc/self/fd").iterdir())),
        sum(call.sessions for call in house.daemon.these.calls.values()),
    )


def run(calls: int, seconds: float) -> tuple[House, list[Sample]]:
    samples: list[Sample] = []

    async def body(house: House) -> None:
        for number in range(calls):
            house.place(f"call-{number}", source=speaker(seconds, salt=number))
            await trio.sleep(0.037)
        for _ in range(8):
            await trio.sleep(seconds / 8)
            samples.append(sample(house))
            # What the emulator and the log remember of every connection is the measurement's growth, and must not hide another.
            del house.emulator.proof.connections[: -2 * calls]
            house.log.entries.clear()
        await trio.sleep(60)

    return host(body, Plan([Reset(time=DROP)], then="repeat"), sink=Ends()), samples


def main() -> None:
    calls, seconds = int(sys.argv[1]), float(sys.argv[2])
    began = time.monotonic()
    house, samples = run(calls, seconds)
    ended = house.of(CallEnded)
    heard = sum(event.audio.heard for event in ended)
    lost = sum(event.audio.lost for event in ended)
    acknowledged = sum(event.audio.acknowledged for event in ended)
    sessions = sum(event.sessions for event in ended)
    print(f"{len(ended)} calls of {seconds:g} s in {time.monotonic() - began:.0f} s: {sessions} sessions")
    print(f"heard {heard:.3f} s = acknowledged {acknowledged:.3f} + lost {lost:.3f}")
    print(f"{'at':>8} {'MiB':>8} {'tasks':>6} {'descriptors':>12} {'sessions so far':>16}")
    for each in samples:
        print(f"{each.at:>8.0f} {each.kib / 1024:>8.1f} {each.tasks:>6} {each.descriptors:>12} {each.sessions:>16}")


if __name__ == "__main__":
    main()
