"""Two hundred calls from an Asterisk that is played, through the daemon, to a server: each a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

import trio

from supervisor.core.audio import AudioFormat
from supervisor.emulator.asterisk import Leg
from supervisor.emulator.callers import place
from supervisor.emulator.numbered import numbered
from supervisor.emulator.speech import Speech

PYTHON = sys.executable
SETTLE = 12.0  # seconds from the last call's start to the measurement: what the handshakes cost is caught up by then


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            if started.poll() is None:
                started.kill()


def line(of: subprocess.Popen[str]) -> str:
    assert of.stdout is not None
    return of.stdout.readline().strip()


def emulator(port: int, seed: int = 0) -> list[str]:
    return [PYTHON, "-m", "supervisor", "emulate", "--quiet", "--port", str(port), "--seed", str(seed)]


def play(count: int, seconds: float, port: int) -> list[tuple[str, bool]]:
    """Place the calls and wait for their end: the id of each, and whether the caller was hung up. In a child: it loads."""
    frames = round(seconds * 50)
    legs = [
        Leg(uuid.UUID(int=number + 1), lambda n, salt=number: numbered(salt, n * 320, 320) if n < frames else b"", 0x10)
        for number in range(count)
    ]
    trio.run(lambda: place(legs, "127.0.0.1", port, spread=2.0))
    return [(str(leg.uuid), leg.torn_down) for leg in legs]


def steady(count: int, seconds: float, url: str, ca: str = "") -> dict[str, float]:
    """What the calls cost while nothing happens."""
    with tempfile.TemporaryDirectory() as directory:
        service = [PYTHON, "-m", "tests.bench.service", "--url", url, "--ca", ca, "--directory", directory, "--seconds", str(seconds)]
        with process(*service) as daemon:
            port = int(line(daemon).rpartition(":")[2])
            player = [PYTHON, "-m", "tests.bench.rehearsal", "play", str(count), str(seconds + SETTLE + 8), str(port)]
            with process(*player) as asterisk:
                time.sleep(2.0 + SETTLE)
                daemon.send_signal(signal.SIGUSR1)
                assert line(daemon) == "measured"
                torn = json.loads(line(asterisk))
            daemon.send_signal(signal.SIGTERM)
            report: dict[str, float] = json.loads(line(daemon))
    report["torn_down"] = sum(each for _, each in torn)
    return report


def killed(count: int, seconds: float, away: float) -> dict[str, float]:
    """The server dies with all its connections, and another one comes to its place after a while."""
    with tempfile.TemporaryDirectory() as directory:
        with process(*emulator(0)) as first:
            url = line(first)
            port = int(url.rpartition(":")[2].partition("/")[0])
            service = [PYTHON, "-m", "tests.bench.service", "--url", url, "--directory", directory]
            with process(*service) as daemon:
                intake = int(line(daemon).rpartition(":")[2])
                player = [PYTHON, "-m", "tests.bench.rehearsal", "play", str(count), str(seconds), str(intake)]
                with process(*player) as asterisk:
                    time.sleep(seconds / 3)
                    first.kill()
                    died = time.monotonic()
                    time.sleep(away)
                    with process(*emulator(port, 1)) as second:
                        assert line(second)
                        back = time.monotonic()
                        torn = json.loads(line(asterisk))
                        daemon.send_signal(signal.SIGTERM)
                        report = json.loads(line(daemon))
                        second.send_signal(signal.SIGTERM)
        wrong = sum(
            words(Path(directory, f"{name}.jsonl")) != spoken(number, seconds) for number, (name, _) in enumerate(torn)
        )
    recovery = [after - back for each in report["silences"] for before, after in each if before <= died + 1 < after]
    return {
        "calls": len(torn),
        "recovered": len(recovery),
        "p50": quantiles(recovery, n=100)[49],
        "p99": quantiles(recovery, n=100)[98],
        "dials": report["dials"],
        "lost": report["lost"],
        "wrong": wrong,
        "torn_down": sum(each for _, each in torn),
        "exit": report["exit"],
    }


def words(path: Path) -> list[str]:
    events = [json.loads(text) for text in path.read_text().splitlines()]
    finals = [event for event in events if event["type"] == "transcript" and event["is_final"]]
    return [word["word"] for event in finals for word in event["words"]]


def spoken(salt: int, seconds: float) -> list[str]:
    audio = AudioFormat("linear16", 8000)
    return [word.word for word in Speech(salt, 8000).between(0, audio.frames(round(seconds * 50) / 50))]


if __name__ == "__main__":
    _, _, count, seconds, port = sys.argv
    print(json.dumps(play(int(count), float(seconds), int(port))), flush=True)
