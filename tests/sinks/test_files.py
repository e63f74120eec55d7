"""Transcripts as files: private, one for each call, never outside their directory, there once they are whole."""

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
from supervisor.sinks.files import FilesSink, file_stem
from supervisor.sinks.lines import Write
from supervisor.sinks.outbox import Boxed
from supervisor.sinks.writing import at_once
from tests.sinks.disk import Disk, FullDisk
from tests.sinks.making import Log, ended, guessed, said, started

CALL_IDS = ["a", "A", "../x", "..", ".", "", "/etc/passwd", "a/b", "a%2Fb", "%", "%25", "a\0b", "ä", "\udcff", "~",
            "a\n", "-rf", "x" * 300, "x" * 301, "é" * 100, "a.jsonl", "con", " "]  # fmt: skip


class Owner:
    """Whoever answers for a sink, and what it was told."""

    def __init__(self) -> None:
        self.left: list[Event] = []
        self.failed: list[tuple[str, Problem]] = []

    def given_up(self, _sink: Boxed, events: Sequence[Event]) -> None:
        self.left += events

    def call_failed(self, _sink: Boxed, call_id: str, problem: Problem) -> None:
        self.failed.append((call_id, problem))

    def behind(self, _sink: Boxed, _behind: bool) -> None:
        raise AssertionError("there is room for all")


def written(  # type: ignore[no-untyped-def]
    directory: Path, events: Sequence[Event], *, write: Write = os.write, owner: Owner | None = None, **more
) -> FilesSink:
    """A sink that has been offered the events and has ended, on a simulated clock."""
    sink = FilesSink(directory, log=Log().log, in_thread=at_once, write=write, **more)
    sink.owner = owner
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


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class TestNames:
    @given(st.lists(st.one_of(st.text(), st.sampled_from(CALL_IDS)), unique=True, max_size=20))
    def test_no_two_ids_share_a_file_and_none_leaves_the_directory(self, call_ids: list[str]) -> None:
        names = [file_stem(call_id) for call_id in call_ids]

        assert len(set(names)) == len(call_ids)
        for name in names:
            assert name.isascii()
            assert "/" not in name
            assert "\0" not in name
            assert not name.startswith(".")
            assert len(name) <= 255 - len("~99999.jsonl.part")

    @given(st.text(min_size=150, max_size=400), st.text(min_size=150, max_size=400))
    def test_long_ids_that_begin_alike_have_names_of_their_own(self, one: str, other: str) -> None:
        names = {file_stem("x" * 250 + one), file_stem("x" * 250 + other)}

        assert len(names) == len({one, other})

    def test_the_usual_id_is_its_own_name(self) -> None:
        assert file_stem("line-1_B.2") == "line-1_B.2"


@pytest.mark.parametrize("call_id", CALL_IDS)
def test_an_odd_id_makes_one_file_in_the_directory(tmp_path: Path, call_id: str) -> None:
    directory = tmp_path / "in"
    written(directory, [said("hello", call_id=call_id), ended(call_id)])
    (made,) = directory.iterdir()

    assert made.name == file_stem(call_id) + ".jsonl"
    assert texts(made)[0] == "hello"
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_the_directory_and_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        written(tmp_path / "in", [said("a"), ended(), said("b", call_id="d")])
    finally:
        os.umask(before)

    assert (tmp_path / "in").stat().st_mode & 0o777 == 0o700
    for name in ("c.jsonl", "d.jsonl.part"):
        assert (tmp_path / "in" / name).stat().st_mode & 0o777 == 0o600


def test_each_call_has_its_events_in_its_own_file_in_order(tmp_path: Path) -> None:
    events = [said(f"{call} {number}", segment=number, call_id=call) for number in range(3) for call in "ab"]
    written(tmp_path, [*events, ended("a"), *(said("b late", segment=3, call_id="b"),), ended("b")])

    assert texts(tmp_path / "a.jsonl") == ["a 0", "a 1", "a 2", ""]
    assert texts(tmp_path / "b.jsonl") == ["b 0", "b 1", "b 2", "b late", ""]


class TestWhole:
    def test_a_file_has_its_name_only_when_its_call_has_ended(self, tmp_path: Path) -> None:
        """Whoever collects what is there never takes half of one; it can be followed all the same."""

        async def main() -> list[list[str]]:
            sink, seen = FilesSink(tmp_path, log=Log().log, in_thread=at_once), []
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                for event in (said("a"), ended()):
                    sink.offer(event)
                    await trio.sleep(1)
                    seen.append(names(tmp_path))
                    assert texts(tmp_path / seen[-1][0])[0] == "a"
                sink.close()
            return seen

        seen = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        assert seen == [["c.jsonl.part"], ["c.jsonl"]]

    def test_what_a_crash_has_left_stays_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "c.jsonl.part").write_bytes(b'{"v":1,"type":"tran')
        written(tmp_path, [said("two"), ended()])

        assert names(tmp_path) == ["c.jsonl.part", "c~2.jsonl"]
        assert (tmp_path / "c.jsonl.part").read_bytes() == b'{"v":1,"type":"tran'
        assert texts(tmp_path / "c~2.jsonl") == ["two", ""]

    def test_an_id_that_comes_again_has_another_file(self, tmp_path: Path) -> None:
        written(tmp_path, [said("one"), ended(), said("two"), ended()])
        written(tmp_path, [said("three"), ended()])

        assert names(tmp_path) == ["c.jsonl", "c~2.jsonl", "c~3.jsonl"]
        assert [texts(tmp_path / name) for name in names(tmp_path)] == [["one", ""], ["two", ""], ["three", ""]]

    @pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.part"])
    @pytest.mark.parametrize(
        "make", [Path.mkdir, os.mkfifo, Path.touch, lambda path: path.symlink_to("../precious"), lambda path: path.symlink_to(path)],
        ids=["directory", "FIFO", "file", "link", "loop"],
    )  # fmt: skip
    def test_what_stands_in_its_place_is_neither_touched_nor_followed(self, tmp_path: Path, make, name: str) -> None:  # type: ignore[no-untyped-def]
        directory = tmp_path / "in"
        directory.mkdir()
        (tmp_path / "precious").write_text("precious\n")
        make(directory / name)
        written(directory, [said("a"), ended()])

        assert names(directory) == [name, "c~2.jsonl"]
        assert texts(directory / "c~2.jsonl") == ["a", ""]
        assert (tmp_path / "precious").read_text() == "precious\n"
        assert (directory / name).is_symlink() or (directory / name).is_dir() or not (directory / name).stat().st_size

    def test_two_processes_that_share_a_directory_do_not_share_a_file(self, tmp_path: Path) -> None:
        async def main() -> None:
            sinks = [FilesSink(tmp_path, log=Log().log, in_thread=at_once) for _ in range(2)]
            async with trio.open_nursery() as nursery:
                for sink in sinks:
                    await nursery.start(sink.run)
                for event in (said("one"), said("two", segment=1), ended()):
                    for sink in sinks:
                        sink.offer(event)
                    await trio.sleep(1)
                for sink in sinks:
                    sink.close()

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        assert {name: texts(tmp_path / name) for name in names(tmp_path)} == {
            "c.jsonl": ["one", "two", ""], "c~2.jsonl": ["one", "two", ""],
        }  # fmt: skip

    def test_a_name_that_is_taken_while_the_call_runs_is_left_alone(self, tmp_path: Path) -> None:
        def write(fd: int, data: memoryview) -> int:
            (tmp_path / "c.jsonl").write_text("somebody else's\n")
            (tmp_path / "c~2.jsonl.part").touch()
            return os.write(fd, data)

        written(tmp_path, [said("a"), ended()], write=write)

        assert (tmp_path / "c.jsonl").read_text() == "somebody else's\n"
        assert texts(tmp_path / "c~3.jsonl") == ["a", ""]
        assert not (tmp_path / "c.jsonl.part").exists()


def test_guesses_are_written_only_where_they_are_wanted(tmp_path: Path) -> None:
    written(tmp_path, [guessed("gu"), said("guess", segment=1)])
    written(tmp_path / "all", [guessed("gu"), said("guess", segment=1)], interims=True)

    assert texts(tmp_path / "c.jsonl.part") == ["guess"]
    assert texts(tmp_path / "all" / "c.jsonl.part") == ["gu", "guess"]


def test_text_files_are_for_people(tmp_path: Path) -> None:
    written(tmp_path, [started("c", "caller", "agent"), said("hello", channel=1), ended()], form="text")

    assert (tmp_path / "c.txt").read_text().startswith("c: a.wav (mulaw 8000 Hz)\n00:00  [agent] hello\nc: complete")


class TestOneFile:
    """What is wrong with one file is the end of its call and of no other."""

    EVENTS = (said("a", call_id="a"), said("b", call_id="b"), said("a too", call_id="a"), ended("b"), ended("a"))

    @pytest.mark.parametrize("failure", [errno.EFBIG, errno.EBADF, errno.EACCES, errno.EINVAL])
    def test_one_that_cannot_be_written_to(self, tmp_path: Path, failure: int) -> None:
        owner = Owner()
        sink = written(tmp_path, self.EVENTS, write=self._without("a", failure), owner=owner)

        assert names(tmp_path) == ["a.jsonl.part", "b.jsonl"]
        assert owner.left == [event for event in self.EVENTS if event.call_id == "a"]
        assert [(call_id, problem.exit_code) for call_id, problem in owner.failed] == [("a", Exit.OUTPUT)]
        assert "a.jsonl.part" in str(owner.failed[0][1])
        assert sink.undelivered() == []

    def test_one_that_stumbles_holds_up_the_others_for_no_longer_than_its_patience(self, tmp_path: Path) -> None:
        owner = Owner()
        written(tmp_path, self.EVENTS, write=self._without("a", errno.EIO), owner=owner, patience=30.0)

        assert texts(tmp_path / "b.jsonl") == ["b", ""]
        assert [call_id for call_id, _ in owner.failed] == ["a"]

    def test_one_that_cannot_be_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.open

        def refusing(path, *more, **others):  # type: ignore[no-untyped-def]
            if Path(path).name.startswith("a"):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *more, **others)

        monkeypatch.setattr(os, "open", refusing)
        owner = Owner()
        written(tmp_path, self.EVENTS, owner=owner)

        assert names(tmp_path) == ["b.jsonl"]
        assert owner.left == [event for event in self.EVENTS if event.call_id == "a"]
        assert len(owner.failed) == 1

    def test_what_comes_later_of_a_broken_call_goes_to_its_owner_and_a_later_call_is_not_broken(self, tmp_path: Path) -> None:
        owner, before = Owner(), open_files()
        refusing = [True]

        def write(fd: int, data: memoryview) -> int:
            if refusing[0]:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            return os.write(fd, data)

        async def main() -> None:
            sink = FilesSink(tmp_path, log=Log().log, in_thread=at_once, write=write)
            sink.owner = owner
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                sink.offer(said("one"))
                await trio.sleep(1)
                refusing[0] = False
                for event in (said("two"), ended(), said("another"), ended()):
                    sink.offer(event)
                    await trio.sleep(1)
                sink.close()

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        assert owner.left == [said("one"), said("two"), ended()]
        assert texts(tmp_path / "c~2.jsonl") == ["another", ""]
        assert open_files() == before

    def test_an_event_that_cannot_be_told(self, tmp_path: Path) -> None:
        """A bug of ours, which is no other call's trouble."""
        bad = said("a", call_id="a", words=[object()])
        owner = Owner()
        written(tmp_path, [said("fine", call_id="a"), bad, said("b", call_id="b"), ended("b")], owner=owner)

        assert texts(tmp_path / "a.jsonl.part") == ["fine"]
        assert texts(tmp_path / "b.jsonl") == ["b", ""]
        assert owner.left == [bad]
        assert [(call_id, problem.exit_code) for call_id, problem in owner.failed] == [("a", Exit.BUG)]

    @staticmethod
    def _without(call_id: str, failure: int) -> Write:
        def write(fd: int, data: memoryview) -> int:
            if Path(f"/proc/self/fd/{fd}").readlink().name.startswith(call_id):
                raise OSError(failure, os.strerror(failure))
            return os.write(fd, data)

        return write


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
        written(tmp_path, [*events, ended()], write=Disk(script, piece=64))

        assert texts(tmp_path / "c.jsonl") == ["0", "1", "2", "3", "4", "5", ""]

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
        assert (tmp_path / "a.jsonl.part").read_bytes() == b""

    def test_out_of_descriptors_passes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real, failures = os.open, [OSError(errno.EMFILE, "Too many open files")] * 3

        def few(path, *more, **others):  # type: ignore[no-untyped-def]
            if str(path).endswith(".part") and failures:
                raise failures.pop()
            return real(path, *more, **others)

        monkeypatch.setattr(os, "open", few)
        written(tmp_path, [said("a"), ended()])

        assert texts(tmp_path / "c.jsonl") == ["a", ""]

    def test_a_name_that_has_no_room_is_given_later_and_nothing_is_written_twice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, failures = Path.rename, [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))] * 3

        def full(path: Path, target: Path) -> Path:
            if failures:
                raise failures.pop()
            return real(path, target)

        monkeypatch.setattr(Path, "rename", full)
        written(tmp_path, [said("a"), ended(), said("b"), ended()])

        assert [texts(tmp_path / name) for name in names(tmp_path)] == [["a", ""], ["b", ""]]


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
        assert order == [
            "synced a.jsonl.part", f"synced {tmp_path.name}",
            "committed Transcript a", "committed Transcript b", "committed CallEnded a",
        ]  # fmt: skip
        assert open_files() == before

    def test_a_disk_that_did_not_keep_it_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def lost(_fd: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", lost)
        owner = Owner()
        written(tmp_path, [said("a"), ended(), said("b", call_id="d"), ended("d")], owner=owner)

        assert names(tmp_path) == ["c.jsonl.part", "d.jsonl.part"]  # neither passes for whole
        assert [call_id for call_id, _ in owner.failed] == ["c", "d"]
        assert "c.jsonl.part: Input/output error" in str(owner.failed[0][1])
        assert owner.left == [ended(), ended("d")]


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
