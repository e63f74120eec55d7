"""The daemon as `run` has it, in a process of its own, with calls from AudioSocket; at its end it prints what it measured.

`SIGUSR1` begins the measurement, once the calls are there, and `SIGTERM` drains. The figures are one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

import trio

from supervisor.config import Config, DeepgramConfig, IntakeConfig, LimitsConfig
from supervisor.core.audio import AudioFormat
from supervisor.core.pool import Pool
from supervisor.core.settings import RetrySettings, Settings
from supervisor.daemon import Daemon, Generation
from supervisor.hosting import Hosting
from supervisor.intakes.kinds import intake_from
from supervisor.logs import build
from supervisor.notify import Notifier
from supervisor.running import Running, running
from supervisor.service import Deepgram
from supervisor.sinks.files import FilesSink
from supervisor.stopping import of_this_process

LOG = build({}, level="error", fd=2)
SILENT = 0.5  # seconds without a frame that are worth telling


class Watching:
    """What each frame that goes out tells."""

    def __init__(self) -> None:
        self.puts: list[list[tuple[float, float]]] = []  # of each call: when (monotonic), seconds of audio by then

    def tap(self, audio_format: AudioFormat):  # type: ignore[no-untyped-def]
        puts: list[tuple[float, float]] = []
        self.puts.append(puts)
        sent = 0

        def put(audio: bytes) -> None:
            nonlocal sent
            sent += len(audio) // audio_format.frame_bytes
            puts.append((time.monotonic(), audio_format.seconds(sent)))

        return put

    def lateness(self, since: float, until: float) -> list[float]:
        """Of each frame: when it was put less when its last sample was due, by the call's own most punctual frame."""
        found = []
        for puts in self.puts:
            inside = [at - sent for at, sent in puts if since <= at <= until]
            if inside:
                best = min(inside)
                found += [each - best for each in inside]
        return found

    def silences(self) -> list[list[tuple[float, float]]]:
        """Of each call: when it fell silent, and when a frame went out again."""
        return [
            [(a, b) for (a, _), (b, _) in pairwise(puts) if b - a > SILENT] for puts in self.puts
        ]


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--ca", default="")
    arguments.add_argument("--directory", required=True)
    arguments.add_argument("--seconds", type=float, default=10.0)
    args = arguments.parse_args()
    watching, report = Watching(), {}
    config = Config(
        intakes=(IntakeConfig("pbx", "audiosocket", "127.0.0.1:0"),),
        deepgram=DeepgramConfig(url=args.url),
        limits=LimitsConfig(max_calls=2000, drain_timeout=60.0),
        settings=Settings(retry=RetrySettings(longest=10.0)),
    )
    deepgram = Deepgram(args.url, ca=args.ca, environ={})

    def make(intake, desk):  # type: ignore[no-untyped-def]
        made = intake_from(intake, desk, LOG)
        run = made.run

        async def told(*, task_status=trio.TASK_STATUS_IGNORED):  # type: ignore[no-untyped-def]
            async with trio.open_nursery() as nursery:
                address = await nursery.start(run)
                print(address, flush=True)
                task_status.started(address)

        made.run = told
        return made

    call = Daemon.call
    Daemon.call = lambda self, spec: call(self, replace(spec, tap=watching.tap))  # type: ignore[method-assign]
    hosting = Hosting(
        Generation(config, deepgram), lambda: config, lambda _: deepgram, make, Notifier({}), LOG
    )

    async def body(these: Running) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(measure, these)
            nursery.start_soon(count_dials)
            await hosting.run(these)
            nursery.cancel_scope.cancel()

    async def measure(these: Running) -> None:
        before = resident()
        with trio.open_signal_receiver(signal.SIGUSR1) as signals:
            async for _ in signals:
                calls = list(these.calls.values())
                heard, cpu, began = sum(each.heard for each in calls), time.process_time(), time.monotonic()
                await trio.sleep(args.seconds)
                seconds = sum(each.heard for each in calls) - heard
                held = sum(each.held for each in calls)
                late = quantiles(watching.lateness(began, time.monotonic()), n=100)
                report.update(
                    calls=len(calls),
                    ms=1000 * (time.process_time() - cpu) / seconds,
                    late_p50=late[49],
                    late_p99=late[98],
                    kib=(resident() - before - held) / len(calls) / 1024,
                )
                print("measured", flush=True)

    async def count_dials() -> None:
        report["dials"] = 0
        while True:
            await trio.sleep(0.01)
            report["dials"] = max(report["dials"], hosting.fleet.dials)

    exit_code = trio.run(
        partial(
            running, body, [FilesSink(Path(args.directory), log=LOG)], log=LOG,
            tell=lambda problem, call_id="": LOG.error("told", problem=str(problem), call_id=call_id),
            pool=Pool(2**30), chance=random.Random(0), signals=of_this_process,
        )
    )  # fmt: skip
    audio = hosting.metrics.audio()
    report.update(
        exit=int(exit_code), heard=audio.heard, acknowledged=audio.acknowledged, lost=sum(audio.lost.values()),
        silences=watching.silences(),
    )  # fmt: skip
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
