"""A watched directory in simulated time: when a file is taken, what becomes of it, and what never happens to it."""

from __future__ import annotations

import errno
import os
from functools import partial

import pytest
import trio

from supervisor.config import IntakeConfig
from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit, Problem
from supervisor.core.wav import header
from supervisor.events import SessionOpened
from supervisor.intakes import Taken, directory
from supervisor.intakes.directory import AGAIN, AT_ONCE, DirectoryIntake
from supervisor.intakes.trays import Trays
from supervisor.sinks.encoding import lines_of
from supervisor.sinks.writing import at_once
from supervisor.sources.feed import End
from tests.intakes.lines import Host
from tests.intakes.test_trays import tree
from tests.simulation import simulate, speaker
from tests.sinks.making import Log, closed, ended, guessed, said, started

AUDIO = b"RIFF and so on"
OPENED = SessionOpened(call_id="c", time="", session=1, request_id="r", attempt=1, replay_from=0.0)


class Full(Trays):
    """A disk that is full for so many writes."""

    def __init__(self, directory, times):
        self.times = times
        super().__init__(directory, step=self._fail)

    def _fail(self, step):
        if step.startswith("write") and self.times > 0:
            self.times -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Watch:
    """A directory that is watched, and what a test needs of it."""

    def __init__(self, path, host, **config):
        self.path, self.host, self.log = path, host, Log()
        self.config = IntakeConfig("box", "directory", directory=str(path), **config)

    def intake(self, trays=None):
        source = partial(speaker, 5.0, live=False)
        return DirectoryIntake(
            self.config, self.host, log=self.log.log, lines=lines_of, in_thread=at_once, source=lambda _: source(), trays=trays
        )

    def drop(self, name="call.wav", content=AUDIO):
        (self.path / name).write_bytes(content)

    @property
    def tree(self):
        return tree(self.path)

    def logged(self, event):
        return [entry for entry in self.log.entries if entry["event"] == event]


def watching(path, body, run=None, *, trays=None, **config):
    """Run `body` beside an open intake, then close it and wait for its last file."""
    watch = Watch(path, Host(run or play), **config)

    async def main():
        async with trio.open_nursery() as nursery:
            watch.open = watch.intake(trays)
            await nursery.start(watch.open.run)
            await body(watch)
            watch.open.close()

    simulate(main)
    return watch


async def play(arrival, *events, taken=None, seconds=9.0):
    """A call that says so much and ends so; to its end, or for so long."""
    async with arrival.source.open() as feed:
        with trio.move_on_after(seconds):
            while not isinstance(feed.take(), End):  # noqa: ASYNC110 - as the grid does
                await trio.sleep(0.1)
    for event in events or (started(), OPENED, guessed("hell"), said("hello"), closed(), ended()):
        arrival.hear(event)
    return taken or Taken("complete")


def ends(*events, **more):
    return lambda arrival: play(arrival, *events, **more)


async def a_while(_):
    await trio.sleep(20)


async def for_a_while(watch):
    watch.drop()
    await trio.sleep(20)


def test_a_file_is_transcribed_once_and_its_transcript_is_beside_it(tmp_path):
    watch = watching(tmp_path, for_a_while, metadata={"site": "Leeds"})

    (arrival,) = watch.host.arrivals
    assert (arrival.call_id, arrival.metadata, arrival.realtime) == ("call.wav", {"file": "call.wav"}, False)
    assert set(watch.tree) == {"done/call.wav", "done/call.wav.jsonl"}
    assert watch.tree["done/call.wav"] == AUDIO
    transcript = watch.tree["done/call.wav.jsonl"].splitlines()
    assert len(transcript) == 5  # all but what was only a guess
    assert b'"text":"hello"' in transcript[2]


def test_a_transcript_for_people_and_the_pace_of_speech(tmp_path):
    watch = watching(tmp_path, for_a_while, format="text", pace="realtime")

    assert watch.host.arrivals[0].realtime
    assert b"hello" in watch.tree["done/call.wav.txt"]


# When it is taken


def test_a_file_that_grows_is_taken_when_it_has_rested(tmp_path):
    async def body(watch):
        for size in range(1, 20):
            watch.drop(content=bytes(size))
            await trio.sleep(1)
            assert watch.host.arrivals == []
        await trio.sleep(2.1)
        assert len(watch.host.arrivals) == 1

    watching(tmp_path, body)


def test_a_file_that_still_grew_while_it_was_transcribed_is_begun_again(tmp_path):
    """Its writer had only paused. What the first attempt heard is part of a file, and is thrown away."""

    async def body(watch):
        watch.drop()
        await trio.sleep(4)
        assert len(watch.host.arrivals) == 1
        with (tmp_path / "working/call.wav").open("ab") as file:
            file.write(b" the rest")
        await trio.sleep(AGAIN + 20)

    watch = watching(tmp_path, body)

    assert len(watch.host.arrivals) == 2
    assert len(watch.logged("file_changed")) == 1
    assert set(watch.tree) == {"done/call.wav", "done/call.wav.jsonl"}
    assert watch.tree["done/call.wav"] == AUDIO + b" the rest"


def test_a_wav_shorter_than_its_header_says_is_waited_for_and_taken_as_it_is_when_nothing_more_comes(tmp_path):
    """Its sender has stalled, or has died: what there is of it is not withheld for ever."""

    async def body(watch):
        whole = header(AudioFormat("linear16", 8000), 1000) + bytes(1000)
        watch.drop("stalls.wav", whole[:500])
        watch.drop("dies.wav", whole[:500])
        await trio.sleep(50)
        assert watch.host.arrivals == []
        watch.drop("stalls.wav", whole)
        await trio.sleep(5)
        assert [arrival.call_id for arrival in watch.host.arrivals] == ["stalls.wav"]
        await trio.sleep(20)

    watch = watching(tmp_path, body)

    assert [arrival.call_id for arrival in watch.host.arrivals] == ["stalls.wav", "dies.wav"]


def test_the_oldest_goes_first_and_what_was_taken_before_all(tmp_path, monkeypatch):
    monkeypatch.setattr(directory, "AT_ONCE", 1)
    (tmp_path / "working").mkdir()

    async def body(watch):
        for number, name in enumerate(("c", "b", "a", "working/z")):
            watch.drop(name)
            os.utime(tmp_path / name, (1000 + number, 1000 + number))
        await trio.sleep(60)

    watch = watching(tmp_path, body)

    assert [arrival.call_id for arrival in watch.host.arrivals] == ["z", "c", "b", "a"]


def test_a_full_house_makes_files_wait_and_none_fail(tmp_path):
    async def body(watch):
        watch.host.why = "100 of 100 calls"
        watch.drop()
        await trio.sleep(30)
        assert watch.host.arrivals == []
        assert set(watch.tree) == {"call.wav"}
        watch.host.why = ""
        await trio.sleep(20)

    watch = watching(tmp_path, body)

    assert "done/call.wav.jsonl" in watch.tree


def test_a_place_that_somebody_else_got_first_is_waited_for(tmp_path):
    refused = [Taken("refused"), Taken("refused")]

    async def run(arrival):
        return refused.pop() if refused else await play(arrival)

    watch = watching(tmp_path, for_a_while, run)

    assert len(watch.host.arrivals) == 3
    assert "done/call.wav.jsonl" in watch.tree


def test_no_more_than_some_files_at_once(tmp_path):
    running, most = [], []

    async def run(arrival):
        running.append(arrival)
        most.append(len(running))
        taken = await play(arrival)
        running.remove(arrival)
        return taken

    async def body(watch):
        for number in range(35):
            watch.drop(f"{number}.wav")
        await trio.sleep(60)

    watch = watching(tmp_path, body, run)

    assert max(most) == AT_ONCE
    assert len(watch.host.arrivals) == 35
    assert len(watch.tree) == 70


def test_what_is_passed_over_is_told_once(tmp_path):
    async def body(watch):
        (tmp_path / "link.wav").symlink_to("/etc/passwd")
        watch.drop("empty.wav", b"")
        await trio.sleep(5)
        assert watch.log.names == []
        await trio.sleep(60)

    watch = watching(tmp_path, body)

    told = sorted((entry["file"], entry["problem"]) for entry in watch.logged("file_ignored"))
    assert told == [("empty.wav", "it is empty"), ("link.wav", "it is a symbolic link")]
    assert watch.host.arrivals == []


def test_a_name_that_is_no_text_is_a_call_all_the_same(tmp_path):
    async def body(watch):
        watch.drop(os.fsdecode(b"caf\xe9.wav"))
        await trio.sleep(20)

    watch = watching(tmp_path, body)

    assert watch.host.arrivals[0].call_id == "caf\ufffd.wav"
    assert set(os.listdir(os.fsencode(tmp_path / "done"))) == {b"caf\xe9.wav", b"caf\xe9.wav.jsonl"}  # noqa: PTH208


# What becomes of it


BAD = Problem("the file is not audio", "convert it", Exit.BAD_AUDIO)
RAW = Problem("call.wav has no header", "give its encoding (--encoding), or decode it with command:ffmpeg", Exit.BAD_AUDIO)


@pytest.mark.parametrize(
    "run, line",
    [
        (ends(taken=Taken("failed", Exit.BAD_AUDIO, BAD)), "the file is not audio: convert it"),
        (ends(taken=Taken("complete", Exit.NO_INPUT, Problem("it cannot be read", "", Exit.NO_INPUT))), "it cannot be read"),
        (ends(taken=Taken("failed", Exit.BAD_AUDIO, RAW)), "call.wav has no header: drop it as WAV or FLAC"),
        (ends(taken=Taken("complete", Exit.UNDELIVERED)), "some of its audio was not transcribed, and gaps say which"),
        (ends(started(), closed(advice="no such model"), taken=Taken("aborted", Exit.CONFIG)), "no such model"),
        (ends(started(), OPENED, taken=Taken("gave_up", Exit.GAVE_UP)), "the server was out of reach for too long"),
        (ends(seconds=2.0), "an operator ended it: move the file back to try again"),
        (ends(taken=Taken("failed", Exit.BUG)), "an error of ours ended it"),
        (ends(started(), object()), "an event of it cannot be written"),
    ],
)
def test_a_file_of_which_something_is_missing_is_set_apart_with_the_reason(tmp_path, run, line):
    """It is never among what is done, nor tried again and paid for again by itself."""
    watch = watching(tmp_path, for_a_while, run)

    assert len(watch.host.arrivals) == 1
    assert set(watch.tree) == {"failed/call.wav", "failed/call.wav.jsonl", "failed/call.wav.error.txt"}
    error = watch.tree["failed/call.wav.error.txt"].decode()
    assert error.startswith(line)
    assert error.count("\n") == 1
    assert [entry["problem"] for entry in watch.logged("file_failed")] == [error.strip()]


def test_no_transcript_is_made_where_nothing_was_said(tmp_path):
    async def run(arrival):
        return Taken("failed", Exit.BAD_AUDIO, BAD)

    watch = watching(tmp_path, for_a_while, run)

    assert set(watch.tree) == {"failed/call.wav", "failed/call.wav.error.txt"}


def test_a_server_out_of_reach_only_makes_files_wait(tmp_path):
    """Nothing was heard, and nothing is to be paid for: an outage of a night does not set a thousand files apart."""
    down = True

    async def run(arrival):
        return await play(arrival, started(), taken=Taken("gave_up", Exit.GAVE_UP), seconds=1) if down else await play(arrival)

    async def body(watch):
        nonlocal down
        watch.drop()
        await trio.sleep(10 * AGAIN)
        assert 5 < len(watch.host.arrivals) <= 10
        assert set(watch.tree) == {"working/call.wav"}
        down = False
        await trio.sleep(2 * AGAIN)

    watch = watching(tmp_path, body, run)

    assert set(watch.tree) == {"done/call.wav", "done/call.wav.jsonl"}


@pytest.mark.parametrize(
    "taken", [Taken("complete"), Taken("stopped"), Taken("gave_up", Exit.GAVE_UP)], ids=lambda taken: taken.outcome
)
def test_a_file_that_ends_with_the_service_is_begun_again_by_the_next(tmp_path, taken):
    async def run(arrival):
        return await play(arrival, started(), OPENED, said("hel"), taken=taken, seconds=3)

    async def body(watch):
        watch.drop()
        await trio.sleep(4)

    first = watching(tmp_path, body, run)

    assert set(first.tree) == {"working/call.wav"}
    second = watching(tmp_path, for_a_while)
    assert set(second.tree) == {"done/call.wav", "done/call.wav.jsonl", "done/call~2.wav", "done/call~2.wav.jsonl"}


def test_a_file_that_comes_to_its_end_while_the_service_ends_is_done(tmp_path):
    async def body(watch):
        watch.drop()
        await trio.sleep(4)

    watch = watching(tmp_path, body)

    assert set(watch.tree) == {"done/call.wav", "done/call.wav.jsonl"}


@pytest.mark.parametrize("moment", [0.5, 2.5, 3.5, 5.0, 8.0])
def test_cancelled_at_any_moment_it_leaves_each_file_where_the_next_start_finds_it(tmp_path, moment):
    watch = Watch(tmp_path, Host(play))

    async def main():
        with trio.move_on_after(moment):
            await watch.intake().run()

    watch.drop()
    simulate(main)

    assert len(watch.tree) in (1, 2)
    again = watching(tmp_path, a_while)
    assert set(again.tree) == {"done/call.wav", "done/call.wav.jsonl"}
    assert len(watch.host.arrivals + again.host.arrivals) <= 2


def test_a_bug_of_ours_costs_its_own_file_is_not_paid_for_again_and_takes_nobodys_place(tmp_path):
    async def run(arrival):
        if arrival.call_id.startswith("bad"):
            raise ValueError("a bug")
        return await play(arrival)

    async def body(watch):
        for number in range(AT_ONCE):
            watch.drop(f"bad-{number}.wav")
        await trio.sleep(5)
        watch.drop()
        await trio.sleep(60)

    watch = watching(tmp_path, body, run)

    bad = {f"working/bad-{number}.wav" for number in range(AT_ONCE)}
    assert set(watch.tree) == bad | {"done/call.wav", "done/call.wav.jsonl"}
    assert [reason for reason, _ in watch.host.rejections] == ["failed"] * AT_ONCE
    assert len(watch.host.arrivals) == AT_ONCE + 1


def test_a_bug_in_a_look_ends_nothing(tmp_path):
    class Odd(Trays):
        def look(self, busy):
            if 2 < trio.current_time() < 10:
                raise KeyError("a bug")
            return super().look(busy)

    watch = watching(tmp_path, for_a_while, trays=Odd(tmp_path))

    assert len(watch.logged("directory_unreachable")) == 1
    assert "done/call.wav.jsonl" in watch.tree


# Disks


def test_a_disk_that_is_full_is_waited_for_and_the_transcript_is_not_lost(tmp_path):
    trays = Full(tmp_path, 30)

    async def body(watch):
        watch.drop()
        await trio.sleep(60)

    watch = watching(tmp_path, body, trays=trays)

    assert len(watch.host.arrivals) == 1
    assert set(watch.tree) == {"done/call.wav", "done/call.wav.jsonl"}
    assert len(watch.logged("transcript_stuck")) == 1


def test_a_file_that_cannot_be_looked_at_is_tried_again_later(tmp_path):
    class Stale(Trays):
        def stamp(self, stem):
            if trio.current_time() < 30:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return super().stamp(stem)

    async def body(watch):
        watch.drop()
        await trio.sleep(2 * AGAIN)

    watch = watching(tmp_path, body, trays=Stale(tmp_path))

    assert len(watch.logged("file_stuck")) == 1
    assert "done/call.wav.jsonl" in watch.tree


def test_a_file_that_may_not_be_moved_is_told_once_and_keeps_no_other_waiting(tmp_path):
    """As in a directory with the sticky bit, where it is somebody else's."""

    class Sticky(Trays):
        def take(self, name, stamp, **how):
            if name == "a.wav":
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            return super().take(name, stamp, **how)

    async def body(watch):
        watch.drop("a.wav")
        watch.drop("b.wav")
        await trio.sleep(60)

    watch = watching(tmp_path, body, trays=Sticky(tmp_path))

    assert [entry["file"] for entry in watch.logged("file_stuck")] == ["a.wav"]
    assert set(watch.tree) == {"a.wav", "done/b.wav", "done/b.wav.jsonl"}


def test_what_is_in_the_way_is_told_once_and_the_file_is_moved_when_it_is_gone(tmp_path):
    async def body(watch):
        watch.drop()
        await trio.sleep(4)
        (tmp_path / "done/call.wav").write_bytes(b"not ours")
        await trio.sleep(60)
        assert len(watch.host.arrivals) == 1
        (tmp_path / "done/call.wav").unlink()
        await trio.sleep(3)

    watch = watching(tmp_path, body)

    (told,) = watch.logged("file_stuck")
    assert f"something is in the way ({tmp_path}/done/call.wav)" in told["problem"]
    assert watch.tree["done/call.wav"] == AUDIO
    assert "done/call.wav.jsonl" in watch.tree


def test_a_disk_that_stays_full_does_not_keep_the_service_from_ending(tmp_path):
    watch = watching(tmp_path, for_a_while, trays=Full(tmp_path, 10**9))

    assert set(watch.tree) == {"working/call.wav"}
    assert set(watching(tmp_path, a_while).tree) == {"done/call.wav", "done/call.wav.jsonl"}


def test_a_directory_that_goes_and_comes_back_is_watched_again(tmp_path):
    place = tmp_path / "calls"
    place.mkdir()

    async def body(watch):
        await trio.sleep(3)
        place.rename(tmp_path / "away")
        await trio.sleep(10)
        place.mkdir()
        watch.drop()
        await trio.sleep(20)
        assert set(watch.tree) == {"done/call.wav", "done/call.wav.jsonl"}

    watch = watching(place, body)

    assert [entry["hint"] for entry in watch.logged("directory_unreachable")] == ["make it first"]


def test_a_second_service_is_told_in_one_line(tmp_path):
    async def body(watch):
        with pytest.raises(Problem, match=r'\[\[intake\]\] "box": .* is watched already: give each intake') as caught:
            await watch.intake().run()
        assert caught.value.exit_code is Exit.CONFIG
        watch.drop()
        await trio.sleep(20)

    watch = watching(tmp_path, body)

    assert set(watch.tree) == {"done/call.wav", "done/call.wav.jsonl"}


def test_what_a_reload_changes_is_for_the_next_file(tmp_path):
    async def body(watch):
        watch.drop()
        await trio.sleep(4)
        watch.open.config = IntakeConfig("box", "directory", directory=str(tmp_path), format="text", pace="realtime")
        await trio.sleep(10)
        watch.drop("next.wav")
        await trio.sleep(20)

    watch = watching(tmp_path, body)

    assert [arrival.realtime for arrival in watch.host.arrivals] == [False, True]
    assert set(watch.tree) == {"done/call.wav", "done/call.wav.jsonl", "done/next.wav", "done/next.wav.txt"}
