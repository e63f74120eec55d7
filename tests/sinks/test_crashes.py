"""Whatever fails under the files of calls, and whenever, and if it is the process itself: nothing is lost in silence."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from supervisor.core.problem import Problem
from supervisor.events import Event
from supervisor.sinks.files import FilesSink
from supervisor.sinks.outbox import Boxed
from supervisor.sinks.writing import at_once
from tests.sinks.making import Log, ended, said

CALLS = "ab"
EVENTS = [said(f"{call}{number}", segment=number, call_id=call) for number in range(3) for call in CALLS] + [ended("a"), ended("b")]


class Machine:
    """Counts what is asked of the kernel in one directory, and refuses one of it: once, or from then on."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, at: int, failure: int, *, for_ever: bool) -> None:
        self.calls = 0
        self._directory = str(directory)
        self._at, self._failure, self._for_ever = at, failure, for_ever
        monkeypatch.setattr(os, "open", self._counted(os.open))
        monkeypatch.setattr(os, "fsync", self._counted(os.fsync))
        monkeypatch.setattr(Path, "rename", self._counted(Path.rename))
        self.write = self._counted(os.write)

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def asked(what: Any, *more: Any, **others: Any) -> Any:
            if isinstance(what, int) or str(what).startswith(self._directory):
                self.calls += 1
                if self.calls == self._at or (self._for_ever and self.calls >= self._at):
                    raise OSError(self._failure, os.strerror(self._failure), str(what))
            return real(what, *more, **others)

        return asked


class Owner:
    def __init__(self) -> None:
        self.left: list[Event] = []
        self.failed: list[str] = []

    def given_up(self, _sink: Boxed, events: list[Event]) -> None:
        self.left += events

    def call_failed(self, _sink: Boxed, call_id: str, _problem: Problem) -> None:
        self.failed.append(call_id)

    def behind(self, _sink: Boxed, _behind: bool) -> None:
        pass


def run_on(directory: Path, machine: Machine | None) -> tuple[Owner, FilesSink, Problem | None]:
    owner, problems = Owner(), []
    sink = FilesSink(
        directory, log=Log().log, in_thread=at_once, write=machine.write if machine else os.write, patience=3.0
    )
    sink.owner = owner

    async def main() -> None:
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                for event in EVENTS:
                    sink.offer(event)
                    await trio.sleep(0.1)
                sink.close()
        except* Problem as group:
            problems.extend(group.exceptions)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return owner, sink, problems[0] if problems else None


def texts(events: list[Event]) -> list[str]:
    return [getattr(event, "text", "") or event.__struct_config__.tag for event in events]


def check_files(directory: Path) -> dict[str, list[str]]:
    """What is in them, by call: lines that are whole; and a file that has its name is whole itself."""
    found: dict[str, list[str]] = {call: [] for call in CALLS}
    for path in sorted(directory.iterdir()):
        read = [json.loads(line) for line in path.read_bytes().splitlines()]
        names = [event.get("text", event["type"]) for event in read]
        call = path.name[0]
        if path.suffix == ".jsonl":
            assert names == [f"{call}0", f"{call}1", f"{call}2", "call_ended"], path
        found[call] += names
    return found


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE], ids=lambda code: errno.errorcode[code])
def test_each_word_is_in_a_file_or_given_up_or_left_whatever_fails_and_whenever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: int, for_ever: bool
) -> None:
    """Every open, write, sync and rename in turn."""
    at, told = 0, 0
    while True:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        with monkeypatch.context() as patch:
            machine = Machine(directory, patch, at, failure, for_ever=for_ever)
            owner, sink, problem = run_on(directory, machine)
        if machine.calls < at:
            break
        found = check_files(directory)
        for call in CALLS:
            others = texts([event for event in [*owner.left, *sink.undelivered()] if event.call_id == call])
            words = [word for word in [*found[call], *others] if word != "call_ended"]
            assert words == [f"{call}0", f"{call}1", f"{call}2"], (at, failure)
            assert "call_ended" in [*found[call], *others]
            whole = (directory / f"{call}.jsonl").exists()
            assert whole or call in owner.failed or problem, (at, "it is told of")
        told += bool(owner.failed or problem)

    assert at > 16
    assert told or not for_ever


KILLED = """
import os, signal, sys
from functools import partial
from pathlib import Path
import trio
from supervisor.sinks.files import FilesSink
from tests.sinks.making import Log, ended, said

directory, where = Path(sys.argv[1]), sys.argv[2]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write = os.write
if where == "in the middle of a line":
    def write(fd, data):
        os.write(fd, data[:20]) if b"two" in bytes(data) else os.write(fd, data)
        die() if b"two" in bytes(data) else None
        return len(data)
elif where == "between write and sync":
    os.fsync = die
elif where == "between sync and rename":
    Path.rename = die
elif where == "after the rename":
    rename = Path.rename
    Path.rename = lambda path, to: (rename(path, to), die())

async def main():
    sink = FilesSink(directory, log=Log().log, write=write)
    async with trio.open_nursery() as nursery:
        await nursery.start(sink.run)
        for event in (said("one", call_id="a"), said("two", segment=1, call_id="a"), ended("a")):
            sink.offer(event)
            await trio.sleep(0.01)
        await trio.sleep(10)

trio.run(main)
"""


@pytest.mark.parametrize(
    "where, left",
    [
        ("in the middle of a line", {"a.jsonl.part": ["one", None]}),
        ("between write and sync", {"a.jsonl.part": ["one", "two", "call_ended"]}),
        ("between sync and rename", {"a.jsonl.part": ["one", "two", "call_ended"]}),
        ("after the rename", {"a.jsonl": ["one", "two", "call_ended"]}),
    ],
)
def test_a_process_that_is_killed_leaves_all_that_was_written_and_nothing_that_passes_for_whole(
    tmp_path: Path, where: str, left: dict[str, list[str | None]]
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, where], cwd=Path(__file__).parents[2], timeout=60, check=False
    )

    assert killed.returncode == -signal.SIGKILL
    assert {path.name: names(path) for path in tmp_path.iterdir()} == left
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    run_on(tmp_path, None)  # which has a call of the same name
    assert (tmp_path / "a~2.jsonl").exists()
    assert {path: path.read_bytes() for path in before} == before


def names(path: Path) -> list[str | None]:
    found: list[str | None] = []
    for line in path.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            found.append(None)
        else:
            found.append(event.get("text", event["type"]))
    return found
