"""Outputs outlive calls, and what they cannot write goes to standard error rather than nowhere."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.lowlevel

from supervisor.core.problem import Exit, Problem
from supervisor.outputs import LAST_WRITES
from supervisor.running import Running, wall
from supervisor.sinks.files import FilesSink
from supervisor.sinks.memory import MemorySink
from supervisor.sinks.writing import at_once
from tests.sinks.disk import FullDisk
from tests.sinks.making import Log, guessed
from tests.sinks.ran import FINALS, Failing, Ran, Slow, emitting


def test_every_output_is_offered_every_event() -> None:
    one, other = MemorySink(), MemorySink()
    ran = Ran(emitting(FINALS), one, other)

    assert one.events == other.events == FINALS
    assert (ran.code, ran.spilt, ran.told) == (Exit.OK, [], [])


def test_an_output_is_waited_for_when_the_calls_have_ended() -> None:
    sink = Slow(60)
    ran = Ran(emitting(FINALS), sink)

    assert sink.done
    assert (ran.code, ran.took) == (Exit.OK, 60)


def test_told_to_end_now_an_output_has_its_last_seconds() -> None:
    async def body(these: Running) -> None:
        await emitting(FINALS)(these)
        these.abort()
        await trio.sleep_forever()

    quick, slow = Slow(LAST_WRITES - 1), Slow(60)
    ran = Ran(body, quick, slow)

    assert quick.done
    assert ran.took == LAST_WRITES
    assert (ran.code, ran.spilt_texts) == (Exit.OUTPUT, ["0", "1", "2", "3"])
    assert "events_not_written" in ran.log.names


def test_when_the_last_output_is_gone_the_calls_end() -> None:
    ran = Ran(emitting(FINALS, then=3600), Failing(10), Failing(20))

    assert ran.took == 20
    assert ran.code is Exit.OUTPUT
    assert ran.told == ["cannot write the transcript: mend it"] * 2


def test_while_another_output_works_the_calls_go_on() -> None:
    works = MemorySink()
    ran = Ran(emitting(FINALS, every=10), Failing(15), works)

    assert ran.took == 40
    assert works.events == FINALS
    assert ran.code is Exit.OUTPUT


def test_an_output_that_has_failed_keeps_what_it_had_and_no_more() -> None:
    """Or a service would gather every event of months in memory, for nobody."""
    ran = Ran(emitting(FINALS, every=10), Failing(15), MemorySink())

    assert ran.spilt_texts == ["0", "1"]


def test_what_comes_after_the_last_output_has_failed_is_still_told() -> None:
    """The calls' own last words."""

    async def body(these: Running) -> None:
        these.world.emit(FINALS[0])
        try:
            await trio.sleep_forever()
        finally:
            these.world.emit(FINALS[1])

    ran = Ran(body, Failing(5))

    assert ran.spilt_texts == ["0", "1"]


def test_an_output_that_fails_at_the_start_is_said_and_no_call_begins() -> None:
    begun: list[bool] = []

    async def body(_these: Running) -> None:
        await trio.lowlevel.checkpoint()
        begun.append(True)

    ran = Ran(body, Failing(None))

    assert not begun
    assert (ran.code, ran.told) == (Exit.OUTPUT, ["cannot write the transcript: mend it"])


def test_one_of_two_that_fails_at_the_start_leaves_the_other() -> None:
    works = MemorySink()
    ran = Ran(emitting(FINALS), Failing(None), works)

    assert works.events == FINALS
    assert (ran.code, ran.spilt) == (Exit.OUTPUT, [])


def test_a_disk_that_is_full_to_the_end_spills_every_event_once(tmp_path: Path) -> None:
    sink = FilesSink(tmp_path, log=Log().log, in_thread=at_once, write=FullDisk(), patience=5)
    ran = Ran(emitting([guessed("no"), *FINALS]), sink)

    assert ran.spilt_texts == ["0", "1", "2", "3"]
    assert ran.code is Exit.OUTPUT
    assert "5 events" not in ran.told[0]
    assert "4 events are not written" in ran.told[0]


def test_the_first_code_that_is_not_0_is_the_processs() -> None:
    async def body(these: Running) -> None:
        for code in (Exit.OK, Exit.GAVE_UP, Exit.DENIED):
            these.note(code)

    assert Ran(body, MemorySink()).code is Exit.GAVE_UP


def test_a_problem_of_one_call_is_told_with_its_code() -> None:
    async def body(these: Running) -> None:
        these.tell(Problem("no such file", "", Exit.NO_INPUT), "c")

    ran = Ran(body, MemorySink())

    assert (ran.code, ran.told) == (Exit.NO_INPUT, ["no such file"])


def test_the_time_of_day_is_rfc_3339_in_utc() -> None:
    import datetime

    assert wall().endswith("Z")
    assert datetime.datetime.fromisoformat(wall()).tzinfo is datetime.UTC
