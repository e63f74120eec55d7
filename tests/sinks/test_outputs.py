"""One output's trouble is nobody else's, one call's file is its own call's, and nothing is given up in silence."""

from __future__ import annotations

import errno
import json
import os
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from supervisor.call import Call, Spec
from supervisor.core.problem import Exit, Problem
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator
from supervisor.events import Event
from supervisor.outputs import LAST_WRITES, SAY_AGAIN, Outputs
from supervisor.running import Came, Running
from supervisor.sinks.files import FilesSink
from supervisor.sinks.last_resort import ReserveSink, Spill
from supervisor.sinks.memory import MemorySink
from supervisor.sinks.outbox import ROOM, Boxed
from supervisor.sinks.writing import at_once
from tests.simulation import Routed, speaker
from tests.sinks.making import Log, guessed, said
from tests.sinks.ran import FINALS, Failing, Ran, emitting


class Crashing(MemorySink):
    """Has a bug."""

    name = "crashing"

    def __init__(self, after: float | None) -> None:
        super().__init__()
        self._after = after

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        if self._after is not None:
            task_status.started()
            await trio.sleep(self._after)
        raise ZeroDivisionError("a bug")

    def undelivered(self) -> list[Event]:
        return self.events


class Refusing(MemorySink):
    """Breaks over what it is offered of some calls."""

    name = "refusing"

    def __init__(self, *call_ids: str) -> None:
        super().__init__()
        self._call_ids = call_ids

    def offer(self, event: Event) -> None:
        if event.call_id in self._call_ids:
            raise ZeroDivisionError("a bug")
        super().offer(event)


class Stuck(Boxed):
    """Writes nothing, until `works` is set."""

    def __init__(self, name: str = "stuck", *, room: int = 10, interims: bool = True) -> None:
        super().__init__(name, interims=interims, room=room)
        self.works = False
        self.events: list[Event] = []

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while not (self._outbox.closed and (self.works is False or not self.backlog)):
            if self.works:
                self.events += self._outbox.take()
                self._outbox.written(len(self._outbox.take()))
            with trio.move_on_after(0.5):
                await self._outbox.wait()


def phone_calls(came: dict[str, Came], *call_ids: str, seconds: float = 30.0):  # type: ignore[no-untyped-def]
    """Whole calls, side by side, against the emulator."""

    async def body(these: Running) -> None:
        async with trio.open_nursery() as beside:
            dial = Emulator(Plan(), seed=0).dial_in(beside, capacity=262144, latency=0.02)
            offer = Routed(dial, entropy=random.Random(1).randbytes).offer({"smart_format": "true"})

            async def call(call_id: str) -> None:
                came[call_id] = await these.call(Call(Spec(call_id, speaker(seconds), offer), these.world))

            async with trio.open_nursery() as nursery:
                for call_id in call_ids:
                    nursery.start_soon(call, call_id)
            beside.cancel_scope.cancel("all calls have ended")

    return body


def emitting_at_once(events: Sequence[Event]) -> Callable[[Running], Awaitable[None]]:
    async def body(these: Running) -> None:
        for event in events:
            these.world.emit(event)
        await trio.lowlevel.checkpoint()

    return body


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestOneCall:
    def test_a_file_that_cannot_be_written_to_ends_its_own_call_with_a_verdict(self, tmp_path: Path) -> None:
        """Its events up to there, and its last words, go to the last resort."""

        def write(fd: int, data: memoryview) -> int:
            if Path(f"/proc/self/fd/{fd}").readlink().name.startswith("bad") and b'"transcript"' in bytes(data):
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            return os.write(fd, data)

        came: dict[str, Came] = {}
        sink = FilesSink(tmp_path, log=Log().log, in_thread=at_once, write=write)
        ran = Ran(phone_calls(came, "good", "bad"), sink)
        good, bad = lines(tmp_path / "good.jsonl"), [*lines(tmp_path / "bad.jsonl.part"), *map(json.loads, ran.spilt)]

        assert (came["good"].exit_code, came["bad"].exit_code) == (Exit.OK, Exit.OUTPUT)
        assert good[-1]["outcome"] == "complete"
        assert good[-1]["audio"]["heard"] == 30  # type: ignore[index]
        assert ran.told_of == ["bad"]
        assert "bad.jsonl.part: File too large" in ran.told[0]
        assert ran.code is Exit.OUTPUT
        assert {event["call_id"] for event in map(json.loads, ran.spilt)} == {"bad"}
        assert [event["type"] for event in bad if event["type"] != "transcript"] == [
            "call_started", "session_opened", "session_closed", "gap", "call_ended",
        ]  # fmt: skip
        assert any(event["type"] == "transcript" for event in bad)
        assert bad[-1]["audio"]["heard"] < 30  # type: ignore[index]

    def test_an_output_that_breaks_over_a_call_ends_that_call(self) -> None:
        came: dict[str, Came] = {}
        sink, other = Refusing("bad"), MemorySink()
        ran = Ran(phone_calls(came, "good", "bad"), sink, other)

        assert (came["good"].exit_code, came["bad"].exit_code) == (Exit.OK, Exit.BUG)
        assert ran.log.names.count("sink_broke_over_event") == 1
        assert {event.call_id for event in sink.events} == {"good"}
        spilt = [json.loads(line) for line in ran.spilt]
        assert [event["type"] for event in spilt] == [
            event.__struct_config__.tag for event in other.events if event.call_id == "bad"
        ]

    def test_a_call_that_has_ended_already_is_told_of(self) -> None:
        async def body(these: Running) -> None:
            these.fail("c", Problem("its file is gone", "", Exit.OUTPUT))
            await trio.lowlevel.checkpoint()

        ran = Ran(body, MemorySink())

        assert (ran.code, ran.told, ran.told_of) == (Exit.OUTPUT, ["its file is gone"], ["c"])


class TestCrash:
    @pytest.mark.parametrize("after", [None, 15.0])
    def test_an_output_with_a_bug_is_left_out_while_another_one_works(self, after: float | None) -> None:
        works = MemorySink()
        ran = Ran(emitting(FINALS, every=10), Crashing(after), works)

        assert works.events == FINALS
        assert ran.took == 40
        assert ran.code is Exit.BUG
        assert "sink_crashed" in ran.log.names
        assert ran.spilt_texts == ([] if after is None else ["0", "1"])

    def test_with_the_last_one_the_calls_end(self) -> None:
        ran = Ran(emitting(FINALS, then=3600), Crashing(15.0))

        assert (ran.took, ran.code, ran.spilt_texts) == (15, Exit.BUG, ["0", "1", "2", "3"])

    def test_one_that_ends_by_itself_is_no_output_any_more(self) -> None:
        class Leaving(Crashing):
            async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
                task_status.started()
                await trio.sleep(15)

        ran = Ran(emitting(FINALS, every=10, then=3600), Leaving(None))

        assert (ran.took, ran.code, ran.spilt_texts) == (15, Exit.BUG, ["0", "1"])

    def test_what_was_heard_before_a_bug_of_ours_is_still_written(self) -> None:
        """Of whatever runs the calls."""
        left: list[Event] = []

        class Late(MemorySink):
            async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
                task_status.started()
                await self._closed.wait()
                await trio.sleep(LAST_WRITES / 2)
                left.extend(self.events)

        async def body(these: Running) -> None:
            these.world.emit(FINALS[0])
            await trio.sleep(1)
            raise ZeroDivisionError("a bug")

        with pytest.raises(ExceptionGroup) as crashed:
            Ran(body, Late())
        assert crashed.group_contains(ZeroDivisionError)
        assert left == FINALS[:1]


class TestReserve:
    def test_it_gets_what_another_cannot_take_and_nothing_else(self, tmp_path: Path) -> None:
        works, reserve = MemorySink(), ReserveSink(tmp_path, log=Log().log, in_thread=at_once)
        ran = Ran(emitting([guessed("no"), *FINALS], every=10), Failing(25), works, reserve=reserve)

        assert works.events == [guessed("no"), *FINALS]
        assert [event["text"] for event in lines(reserve.path)] == ["0", "1", "2", "3"]
        assert ran.spilt == []

    def test_as_long_as_it_works_calls_go_on_without_any_other(self, tmp_path: Path) -> None:
        reserve = ReserveSink(tmp_path, log=Log().log, in_thread=at_once)
        ran = Ran(emitting(FINALS, every=10), Failing(5), reserve=reserve)

        assert ran.took == 40
        assert [event["text"] for event in lines(reserve.path)] == ["0", "1", "2", "3"]

    def test_when_it_fails_too_standard_error_gets_all_that_is_not_written(self) -> None:
        ran = Ran(emitting(FINALS, every=10, then=3600), Failing(15), reserve=Failing(25))

        assert ran.spilt_texts == ["0", "1", "2"]
        assert ran.took == 25

    def test_it_gets_what_is_left_at_the_end(self, tmp_path: Path) -> None:
        reserve = ReserveSink(tmp_path, log=Log().log, in_thread=at_once)
        ran = Ran(emitting(FINALS), Stuck(), reserve=reserve)

        assert [event["text"] for event in lines(reserve.path)] == ["0", "1", "2", "3"]
        assert (ran.code, ran.spilt) == (Exit.OK, [])  # all of it is kept

    def test_a_bug_of_its_own_is_no_reason_to_lose_anything(self) -> None:
        ran = Ran(emitting(FINALS), Stuck(), reserve=Refusing("c"))

        assert ran.spilt_texts == ["0", "1", "2", "3"]


class TestFull:
    EVENTS = tuple(said(str(number), segment=number) for number in range(60))

    def test_it_is_said_and_the_oldest_go_to_the_last_resort_in_order(self) -> None:
        stuck = Stuck(room=10)
        ran = Ran(emitting(self.EVENTS, every=0.1), stuck, MemorySink())

        assert ran.spilt_texts == [str(number) for number in range(60)]
        assert ran.log.names[:2] == ["sink_backlog", "events_not_written"]
        assert (ran.log.entries[0]["sink"], ran.log.entries[0]["backlog"]) == ("stuck", 8)
        assert ran.code is Exit.OUTPUT

    def test_every_event_that_is_given_up_is_counted_once_in_a_line_a_minute(self) -> None:
        ran = Ran(emitting(self.EVENTS, every=10), Stuck(room=10), MemorySink())
        said_of = [entry for entry in ran.log.entries if entry["event"] == "events_not_written"]

        assert sum(entry["count"] for entry in said_of) == 60
        assert len(said_of) <= 600 / SAY_AGAIN + 1

    def test_one_that_works_again_says_so_and_gets_the_rest(self) -> None:
        stuck = Stuck(room=10)

        async def body(these: Running) -> None:
            for event in self.EVENTS[:20]:
                these.world.emit(event)
            stuck.works = True
            await trio.sleep(2)
            for event in self.EVENTS[20:25]:
                these.world.emit(event)

        ran = Ran(body, stuck)

        assert [*ran.spilt_texts, *(event.text for event in stuck.events)] == [str(number) for number in range(25)]  # type: ignore[attr-defined]
        assert [name for name in ran.log.names if name.startswith("sink")] == ["sink_backlog", "sink_caught_up"]

    def test_it_costs_no_other_output_anything(self) -> None:
        works = MemorySink()
        Ran(emitting(self.EVENTS), Stuck(room=10), works)

        assert works.events == list(self.EVENTS)

    def test_all_of_several_that_fail_at_once_finds_room(self) -> None:
        """At the end each may have a full outbox."""
        events = [said(str(number), segment=number) for number in range(ROOM)]
        ran = Ran(emitting_at_once(events), *(Stuck(str(number), room=ROOM + 1) for number in range(3)))

        assert len(ran.spilt) == 3 * ROOM
        assert sorted(set(ran.spilt_texts), key=int) == [str(number) for number in range(ROOM)]

    def test_guesses_are_nobodys_loss(self) -> None:
        ran = Ran(emitting([guessed(str(number), segment=number) for number in range(60)]), Stuck(room=10))

        assert (ran.spilt, ran.code) == ([], Exit.OK)


def test_standard_error_that_nobody_reads_holds_up_neither_calls_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a terminal that is stopped with ^S, or whoever has forgotten our pipe: in a thread, which is left behind."""
    monkeypatch.setattr("supervisor.outputs.LAST_WRITES", 0.1)
    comes_back = threading.Event()
    log = Log()

    async def main() -> None:
        spill = Spill(lambda _: bool(comes_back.wait(30)), room=5)
        outputs = Outputs([Stuck(room=2)], None, spill, log.log)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                await nursery.start(outputs.run, Running(None, lambda *_: None))  # type: ignore[arg-type]
                for number in range(200):
                    outputs.emit(said(str(number), segment=number))
                    await trio.lowlevel.checkpoint()
                outputs.hurry()
                outputs.close()

    trio.run(main)
    comes_back.set()

    lost = [entry["count"] for entry in log.entries if entry.get("hint") == "they are lost"]
    assert sum(lost) == 200


def test_each_output_has_a_name_for_the_metrics(tmp_path: Path) -> None:
    names: list[str] = []

    async def body(these: Running) -> None:
        names.extend(sink.name for sink in these.sinks)
        assert all(sink.backlog == 0 for sink in these.sinks)
        await trio.lowlevel.checkpoint()

    log = Log().log
    reserve = ReserveSink(tmp_path, log=log, in_thread=at_once, name="kept")
    Ran(body, FilesSink(tmp_path, log=log, in_thread=at_once), Stuck("hook"), reserve=reserve)

    assert names == ["files", "hook", "kept"]
