"""Transcripts as files: private, one for each call, never outside their directory, on the disk when a call has ended."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.problem import Exit, Problem
from supervisor.events import Event
from supervisor.sinks.files import FilesSink, file_name
from supervisor.sinks.lines import Write
from supervisor.sinks.writing import at_once
from tests.sinks.disk import Disk, FullDisk
from tests.sinks.making import Log, ended, guessed, said, started

CALL_IDS = ["a", "A", "../x", "..", ".", "", "/etc/passwd", "a/b", "a%2Fb", "%", "%25", "a\0b", "ä", "\udcff", "~",
            "a\n", "-rf", "x" * 300, "x" * 301, "é" * 100, "a.jsonl", "con", " "]  # fmt: skip


def written(directory: Path, events: Sequence[Event], *, write: Write = os.write, **more) -> FilesSink:  # type: ignore[no-untyped-def]
    """A sink that has been offered the events and has ended, on a simulated clock."""
    sink = FilesSink(directory, log=Log().log, in_thread=at_once, write=write, **more)
    for event in events:
        sink.offer(event)
    sink.close()
    with_problem: list[Problem] = []

    async def main() -> None:
        try:
            await sink.run()
        except Problem as problem:
            with_problem.append(problem)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    if with_problem:
        raise with_problem[0]
    return sink


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def texts(path: Path) -> list[str]:
    return [json.loads(line).get("text", "") for line in path.read_text().splitlines()]


class TestNames:
    @given(st.lists(st.one_of(st.text(), st.sampled_from(CALL_IDS)), unique=True, max_size=20))
    def test_no_two_ids_share_a_file_and_none_leaves_the_directory(self, call_ids: list[str]) -> None:
        names = [file_name(call_id) for call_id in call_ids]

        assert len(set(names)) == len(call_ids)
        for name in names:
            assert name.isascii()
            assert "/" not in name
            assert "\0" not in name
            assert not name.startswith(".")
            assert len(name) <= 255

    @given(st.text(min_size=150, max_size=400), st.text(min_size=150, max_size=400))
    def test_long_ids_that_begin_alike_have_names_of_their_own(self, one: str, other: str) -> None:
        names = {file_name("x" * 250 + one), file_name("x" * 250 + other)}

        assert len(names) == len({one, other})

    def test_the_usual_id_is_its_own_name(self) -> None:
        assert file_name("line-1_B.2", ".txt") == "line-1_B.2.txt"


@pytest.mark.parametrize("call_id", CALL_IDS)
def test_an_odd_id_makes_one_file_in_the_directory(tmp_path: Path, call_id: str) -> None:
    directory = tmp_path / "in"
    written(directory, [said("hello", call_id=call_id), ended(call_id)])
    (made,) = directory.iterdir()

    assert made.name == file_name(call_id)
    assert texts(made)[0] == "hello"
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_the_directory_and_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        written(tmp_path / "in", [said("a")])
    finally:
        os.umask(before)

    assert (tmp_path / "in").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "in" / "c.jsonl").stat().st_mode & 0o777 == 0o600


def test_each_call_has_its_events_in_its_own_file_in_order(tmp_path: Path) -> None:
    events = [said(f"{call} {number}", segment=number, call_id=call) for number in range(3) for call in "ab"]
    written(tmp_path, [*events, ended("a"), *(said("b late", segment=3, call_id="b"),), ended("b")])

    assert texts(tmp_path / "a.jsonl") == ["a 0", "a 1", "a 2", ""]
    assert texts(tmp_path / "b.jsonl") == ["b 0", "b 1", "b 2", "b late", ""]


def test_a_later_run_appends_and_ends_what_a_crash_has_torn(tmp_path: Path) -> None:
    written(tmp_path, [said("one")])
    with (tmp_path / "c.jsonl").open("ab") as file:
        file.write(b'{"v":1,"type":"tran')
    written(tmp_path, [said("two")])
    whole = [line for line in (tmp_path / "c.jsonl").read_text().splitlines() if line.endswith("}")]

    assert [json.loads(line)["text"] for line in whole] == ["one", "two"]


def test_guesses_are_written_only_where_they_are_wanted(tmp_path: Path) -> None:
    written(tmp_path, [guessed("gu"), said("guess", segment=1)])
    written(tmp_path / "all", [guessed("gu"), said("guess", segment=1)], interims=True)

    assert texts(tmp_path / "c.jsonl") == ["guess"]
    assert texts(tmp_path / "all" / "c.jsonl") == ["gu", "guess"]


def test_text_files_are_for_people(tmp_path: Path) -> None:
    written(tmp_path, [started("c", "caller", "agent"), said("hello", channel=1)], form="text")

    assert (tmp_path / "c.txt").read_text() == "c: a.wav (mulaw 8000 Hz)\n00:00  [agent] hello\n"


def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "in"
    directory.mkdir()
    (tmp_path / "precious").write_text("precious\n")
    (directory / "c.jsonl").symlink_to(tmp_path / "precious")

    with pytest.raises(Problem, match=r"c\.jsonl.*remove it") as refused:
        written(directory, [said("a")])
    assert refused.value.exit_code is Exit.OUTPUT
    assert (tmp_path / "precious").read_text() == "precious\n"


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: os.mkfifo(path)])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "c.jsonl")

    with pytest.raises(Problem, match="cannot write the transcript"):
        written(tmp_path, [said("a")])


@pytest.mark.parametrize(
    "place, reason",
    [("none/in", "make the directory first"), ("file", "File exists"), ("file/in", "Not a directory"), ("loop", "File exists")],
)
def test_a_directory_that_cannot_be_is_said_at_the_start(tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    with pytest.raises(Problem, match=reason) as refused:
        written(tmp_path / place, [])
    assert refused.value.exit_code is Exit.OUTPUT


def test_a_directory_that_may_not_be_written_to_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, as whom this may run, may write anywhere

    with pytest.raises(Problem, match="cannot be written to: give this user the right"):
        written(tmp_path / "in", [])


def test_a_directory_that_vanishes_loses_nothing_that_is_not_said(tmp_path: Path) -> None:
    directory = tmp_path / "in"
    sink = FilesSink(directory, log=Log().log, in_thread=at_once)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(sink.run)
            directory.rmdir()
            sink.offer(said("a"))
            sink.offer(said("b", segment=1))

    with pytest.RaisesGroup(pytest.RaisesExc(Problem, match="No such file or directory.*2 events are not written")):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert sink.undelivered() == [said("a"), said("b", segment=1)]


class TestFullDisk:
    def test_it_fills_in_the_middle_of_a_line_and_gets_space_again(self, tmp_path: Path) -> None:
        script = [(100, errno.ENOSPC), (0, errno.ENOSPC), (450, errno.ENOSPC), (7, errno.EIO)]
        events = [said(str(number), segment=number) for number in range(6)]
        written(tmp_path, events, write=Disk(script, piece=64))

        assert texts(tmp_path / "c.jsonl") == ["0", "1", "2", "3", "4", "5"]

    def test_it_stays_full(self, tmp_path: Path) -> None:
        events = [said(str(number), segment=number, call_id=call) for number in range(2) for call in "ab"]
        sink = FilesSink(tmp_path, log=Log().log, in_thread=at_once, write=FullDisk())
        for event in events:
            sink.offer(event)
        sink.close()

        async def main() -> None:
            with pytest.raises(Problem, match="No space left") as full:
                await sink.run()
            assert full.value.exit_code is Exit.OUTPUT

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

        assert sink.undelivered() == events
        assert sink.backlog == 4
        assert (tmp_path / "a.jsonl").read_bytes() == b""

    def test_out_of_descriptors_passes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real, failures = os.open, [OSError(errno.EMFILE, "Too many open files")] * 3

        def few(path, *more, **others):  # type: ignore[no-untyped-def]
            if str(path).endswith(".jsonl") and failures:
                raise failures.pop()
            return real(path, *more, **others)

        monkeypatch.setattr(os, "open", few)
        written(tmp_path, [said("a")])

        assert texts(tmp_path / "c.jsonl") == ["a"]


class TestEndOfACall:
    def test_its_file_is_on_the_disk_before_the_end_is_committed_and_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order: list[str] = []
        monkeypatch.setattr(os, "fsync", lambda fd: order.append(f"synced {Path(f'/proc/self/fd/{fd}').readlink().name}"))
        before = open_files()
        sink = FilesSink(
            tmp_path, log=Log().log, in_thread=at_once,
            committed=lambda event: order.append(f"committed {type(event).__name__} {event.call_id}"),
        )  # fmt: skip

        async def main() -> int:
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                opened = open_files()
                for event in [said("a", call_id="a"), said("b", call_id="b"), ended("a")]:
                    sink.offer(event)
                await trio.sleep(1)
                still = open_files() - opened
                sink.close()
            return still

        assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == 1
        assert order == ["synced a.jsonl", "committed Transcript a", "committed Transcript b", "committed CallEnded a"]
        assert open_files() == before

    def test_a_disk_that_did_not_keep_it_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def lost(_fd: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", lost)

        with pytest.raises(Problem, match=r"cannot write the transcript to .*c\.jsonl: Input/output error") as failed:
            written(tmp_path, [said("a"), ended()])
        assert failed.value.exit_code is Exit.OUTPUT

    def test_an_id_that_comes_again_is_appended(self, tmp_path: Path) -> None:
        written(tmp_path, [said("one"), ended(), said("two"), ended()])

        assert texts(tmp_path / "c.jsonl") == ["one", "", "two", ""]


def test_a_disk_that_hangs_holds_up_nobody_and_its_file_is_closed_when_it_comes_back(tmp_path: Path) -> None:
    """As NFS does: the write is in a thread that no signal reaches."""
    hangs, comes_back = threading.Event(), threading.Event()
    back = threading.Event()

    def write(fd: int, data: memoryview) -> int:
        hangs.set()
        comes_back.wait(10)
        try:
            return os.write(fd, data)
        finally:
            back.set()

    sink = FilesSink(tmp_path, log=Log().log, write=write)
    before = open_files()

    async def main() -> None:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                sink.offer(said("a"))
                await trio.to_thread.run_sync(partial(hangs.wait, 10))
                nursery.cancel_scope.cancel()

    trio.run(main)

    assert sink.undelivered() == [said("a")]
    comes_back.set()
    assert back.wait(10)
    for _ in range(500):
        if open_files() <= before:
            break
        threading.Event().wait(0.01)
    assert open_files() <= before
