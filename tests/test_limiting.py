"""Lines that repeat in a log: a few of them, and how many more there were."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from supervisor.limiting import ALWAYS
from supervisor.logs import _Forward, build


class Log:
    """A logger that limits what repeats by a clock that is set by hand, and the lines it has written into a file."""

    def __init__(self, path: Path, environ: dict[str, str] | None = None, clock: Callable[[], float] | None = None) -> None:
        self.now = 0.0
        self.file = path.open("w+b")
        self.log = build(environ or {}, fd=self.file.fileno(), clock=clock or (lambda: self.now))

    @property
    def text(self) -> str:
        return os.pread(self.file.fileno(), 1 << 24, 0).decode()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Without the time of day."""
        return [{key: value for key, value in json.loads(line).items() if key != "timestamp"} for line in self.text.splitlines()]


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "log")
    yield made
    made.file.close()


def test_the_next_line_after_the_window_says_how_many_like_it_there_were(one: Log) -> None:
    for one.now in (*range(9), 10.0):
        one.log.warning("sink_backlog", sink="files", backlog=one.now)

    assert [event["backlog"] for event in one.events] == [0, 1, 2, 3, 4, 10.0]
    assert [event.get("suppressed") for event in one.events] == [None] * 5 + [4]


def test_any_line_tells_what_is_over_by_then(one: Log) -> None:
    for _ in range(7):
        one.log.error("output_stuck", path="/full/disk", backlog=3)
    one.now = 60.0
    one.log.info("ready")

    assert one.events[5:] == [
        {"level": "error", "event": "log_lines_suppressed", "of": "output_stuck", "path": "/full/disk", "suppressed": 2},
        {"level": "info", "event": "ready"},
    ]


def test_errors_of_different_calls_are_not_each_others_repeats(one: Log) -> None:
    for number in range(20):
        one.log.bind(call_id=f"call-{number}").error("call_crashed")
    for problem in "abcdefgh":
        one.log.warning("config_suspicious", problem=problem)

    assert len(one.events) == 28


def test_one_trouble_of_five_hundred_calls_is_not_five_hundred_lines(one: Log) -> None:
    for number in range(500):
        one.log.info("session_opened", call_id=f"call-{number}")
    one.now = 10.0
    one.log.info("session_opened", call_id="call-1")

    assert len(one.events) == 101
    assert one.events[-1]["suppressed"] == 400


@pytest.mark.parametrize("event", sorted(ALWAYS))
def test_the_lines_that_are_a_contract_are_all_there(one: Log, event: str) -> None:
    for number in range(1000):
        one.log.info(event, call_id="one", session=number)

    assert [line["session"] for line in one.events] == list(range(1000))


def test_a_traceback_of_a_line_that_is_left_out_is_not_made(one: Log) -> None:
    class Loud(Exception):
        told = 0

        def __str__(self) -> str:
            Loud.told += 1
            return "loud"

    for _ in range(50):
        one.log.error("sink_crashed", sink="files", exc_info=Loud())

    told_by_five = Loud.told
    for _ in range(50):
        one.log.error("sink_crashed", sink="files", exc_info=Loud())
    assert len(one.events) == 5
    assert Loud.told == told_by_five > 0


def test_another_librarys_sentences_are_limited_by_who_says_them(one: Log) -> None:
    chatty, other = logging.Logger("chatty"), logging.Logger("other")
    for logger in (chatty, other):
        logger.addHandler(_Forward(one.log))
    for number in range(1000):
        chatty.warning("frame %d is odd", number)
    other.warning("frame 999 is odd")
    one.now = 10.0
    one.log.info("ready")

    assert len(one.events) == 103
    assert one.events[-2] == {"level": "warning", "event": "log_lines_suppressed", "of": "chatty", "suppressed": 900}


def test_the_count_has_the_priority_of_what_it_counts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    status = path.stat()
    made = Log(path, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    for _ in range(6):
        made.log.error("output_stuck")
    made.now = 10.0
    made.log.info("ready")
    made.file.close()

    # Read again, for the file is closed.
    assert [line[:3] for line in path.read_text().splitlines()] == ["<3>"] * 6 + ["<6>"]


def test_in_the_count_as_well_nothing_is_secret(one: Log) -> None:
    for _ in range(6):
        one.log.error("call_failed", call_id="+15551234567", problem="Token 0123456789abcdef0123456789abcdef was refused")
    one.now = 10.0
    one.log.info("ready")

    assert one.events[-2]["suppressed"] == 1
    assert one.events[-2]["call_id"] == "+1555***4567"
    assert "15551234567" not in one.text
    assert "0123456789abcdef" not in one.text


def test_without_a_clock_every_line_is_there(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+b") as file:
        log = build({}, fd=file.fileno())
        for _ in range(300):
            log.info("connection")
        file.seek(0)

        assert len(file.readlines()) == 300


class TestUnderTrio:
    def test_the_count_comes_though_nothing_else_is_logged(self, tmp_path: Path) -> None:
        async def main() -> list[dict[str, Any]]:
            for _ in range(20):
                made.log.error("output_stuck")
            await trio.sleep(60)
            return made.events

        made = Log(tmp_path / "log", clock=trio.current_time)
        events = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        made.file.close()

        assert events[5:] == [{"level": "error", "event": "log_lines_suppressed", "of": "output_stuck", "suppressed": 15}]

    def test_it_comes_at_the_end_if_that_is_sooner(self, tmp_path: Path) -> None:
        async def main() -> None:
            for _ in range(20):
                made.log.error("output_stuck")
            await trio.sleep(1)

        made = Log(tmp_path / "log", clock=trio.current_time)
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        events = made.events
        made.file.close()

        assert events[5:] == [{"level": "error", "event": "log_lines_suppressed", "of": "output_stuck", "suppressed": 15}]

    def test_it_comes_each_time_while_a_trouble_lasts(self, tmp_path: Path) -> None:
        """An hour of an error each second; and whoever waits to tell it does so but once at a time."""
        tasks = []

        async def main() -> None:
            for _ in range(3600):
                made.log.error("output_stuck")
                tasks.append(trio.lowlevel.current_statistics().tasks_living)
                await trio.sleep(1)

        made = Log(tmp_path / "log", clock=trio.current_time)
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        events = made.events
        made.file.close()

        told = sum(event["event"] == "output_stuck" for event in events)
        assert told + sum(event.get("suppressed", 0) for event in events) == 3600
        assert len(events) < 2500
        assert max(tasks) - min(tasks) <= 1

    def test_any_thread_may_log(self, tmp_path: Path) -> None:
        def shout() -> None:
            for _ in range(200):
                made.log.error("output_stuck")

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(trio.to_thread.run_sync, shout)
            made.now = 10.0
            made.log.info("ready")

        made = Log(tmp_path / "log")
        trio.run(main)
        events = made.events
        made.file.close()

        assert [event["event"] for event in events] == ["output_stuck"] * 5 + ["log_lines_suppressed", "ready"]
        assert events[5]["suppressed"] == 795
