"""One descriptor for all calls: a reader that leaves ends the output, one that stops reading holds up nobody."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.core.problem import Exit, Problem
from supervisor.sinks.lines import WholeLines
from supervisor.sinks.stdout import LinesSink, named_file_sink, standard_output, stdout_sink
from supervisor.sinks.writing import at_once
from tests.sinks.disk import Disk
from tests.sinks.making import Log, ended, guessed, said, started


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def leave(reads: int) -> None:
    """The reader goes; its number stays taken."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, reads)
    os.close(nowhere)


def to(fd: int, **more) -> LinesSink:  # type: ignore[no-untyped-def]
    return LinesSink(lambda: WholeLines(os.dup(fd), name="standard output"), log=Log().log, **more)


def run_to_the_end(sink: LinesSink) -> None:
    async def main() -> None:
        with trio.fail_after(10):
            await sink.run()

    trio.run(main)


def test_every_event_is_a_line_at_once(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    sink = to(writes)

    async def main() -> None:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                for event in [started(), said("one"), guessed("no"), ended()]:
                    sink.offer(event)
                    if event != guessed("no"):
                        line = await trio.to_thread.run_sync(os.read, reads, 65536)
                        assert json.loads(line)["type"] == event.__struct_config__.tag
                sink.close()

    trio.run(main)

    assert sink.backlog == 0


def test_a_reader_that_leaves_ends_the_output_at_once(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    leave(reads)
    sink = to(writes)
    sink.offer(said("one"))

    with pytest.raises(Problem, match="nobody reads the output any more") as failed:
        run_to_the_end(sink)
    assert failed.value.exit_code is Exit.OUTPUT
    assert sink.undelivered() == [said("one")]


def test_an_event_that_cannot_be_told_stops_no_other(tmp_path: Path) -> None:
    """A bug of ours; without an owner it stays with the sink."""
    bad = said("bad", call_id="a", words=[object()])
    with (tmp_path / "out").open("wb") as file:
        sink = to(file.fileno())
        for event in [said("one", call_id="b"), bad, said("two", call_id="b")]:
            sink.offer(event)
        sink.close()
        run_to_the_end(sink)

    assert [json.loads(line)["text"] for line in (tmp_path / "out").read_text().splitlines()] == ["one", "two"]
    assert sink.undelivered() == [bad]


def test_a_reader_that_stops_reading_holds_up_nobody(pipe: tuple[int, int]) -> None:
    _, writes = pipe
    sink = to(writes)
    finals = [said("x" * 1000, segment=number) for number in range(500)]

    async def main() -> None:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                for event in finals:
                    sink.offer(event)
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()

    trio.run(main)

    left = sink.undelivered()
    assert left
    assert left == finals[-len(left) :]


def test_it_is_full_then_has_space_again(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        script = [(10, errno.ENOSPC), (0, errno.ENOSPC), (300, errno.EDQUOT)]
        sink = LinesSink(lambda: WholeLines(os.dup(file.fileno()), write=Disk(script)), log=Log().log, in_thread=at_once)
        for number in range(3):
            sink.offer(said(str(number), segment=number))
        sink.close()
        trio.run(sink.run, clock=trio.testing.MockClock(autojump_threshold=0))

    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == ["0", "1", "2"]


def test_dev_full_is_full_for_good() -> None:
    sink = LinesSink(lambda: WholeLines(os.open("/dev/full", os.O_WRONLY), name="/dev/full"), log=Log().log, patience=0)
    sink.offer(said("one"))
    sink.close()

    with pytest.raises(Problem, match=r"/dev/full: No space left on device \(1 events are not written\): free some"):
        run_to_the_end(sink)


def test_a_named_file_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before\n")
    sink = named_file_sink(path, log=Log().log, form="text")
    sink.offer(said("hello"))
    sink.close()
    run_to_the_end(sink)

    assert path.read_text() == "before\n00:00  hello\n"


@pytest.mark.parametrize("name", [".", "none/out"])
def test_a_named_file_that_cannot_be_is_said_at_the_start(tmp_path: Path, name: str) -> None:
    sink = named_file_sink(tmp_path / name, log=Log().log)

    with pytest.raises(Problem, match="cannot write the transcript to") as failed:
        run_to_the_end(sink)
    assert failed.value.exit_code is Exit.OUTPUT


def test_without_standard_output_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)

    with pytest.raises(Problem, match="standard output: it is closed"):
        run_to_the_end(stdout_sink(log=Log().log))


def test_standard_output_itself_stays_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        output = standard_output()
        output.append([b"line\n"])
        output.close()
        stream.write("later\n")

    assert (tmp_path / "out").read_text() == "line\nlater\n"


@pytest.mark.parametrize("fails", [True, False])
def test_no_descriptor_is_left_open(pipe: tuple[int, int], fails: bool) -> None:
    reads, writes = pipe
    opened: list[int] = []

    def open_lines() -> WholeLines:
        opened.append(os.dup(writes))
        return WholeLines(opened[0])

    sink = LinesSink(open_lines, log=Log().log)
    sink.offer(said("one"))
    sink.close()
    if fails:
        leave(reads)
        with pytest.raises(Problem):
            run_to_the_end(sink)
    else:
        run_to_the_end(sink)

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_labels_are_forgotten_with_their_call() -> None:
    """Or a service would remember the channels of every call it has ever had."""
    lines: list[bytes] = []

    class Kept(WholeLines):
        def append(self, more):  # type: ignore[no-untyped-def, override]
            lines.extend(more)
            return len(more), None

    open_lines: Callable[[], WholeLines] = lambda: Kept(os.open(os.devnull, os.O_WRONLY))  # noqa: E731
    sink = LinesSink(open_lines, log=Log().log, form="text", in_thread=at_once)
    for event in [started("c", "caller", "agent"), said("one", channel=1), ended(), said("two", channel=1)]:
        sink.offer(event)
    sink.close()
    run_to_the_end(sink)

    assert lines[1] == b"00:00  [agent] one\n"
