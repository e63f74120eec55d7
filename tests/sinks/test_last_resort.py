"""Where events go that no other output could take: each once, in order, and nobody waits for it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.core.problem import Exit, Problem
from supervisor.events import Event
from supervisor.sinks.last_resort import ReserveSink, Spill, standard_error
from supervisor.sinks.lines import Write
from supervisor.sinks.writing import at_once
from tests.sinks.disk import Disk, FullDisk
from tests.sinks.making import Log, ended, guessed, said, started

FINALS = [said(str(number), segment=number, call_id=f"call {number}") for number in range(4)]


def written(directory: Path, events: Sequence[Event], *, write: Write = os.write, **more) -> ReserveSink:  # type: ignore[no-untyped-def]
    sink = ReserveSink(directory, log=Log().log, in_thread=at_once, write=write, **more)
    for event in events:
        sink.offer(event)
    sink.close()
    trio.run(sink.run, clock=trio.testing.MockClock(autojump_threshold=0))
    return sink


def texts(path: Path) -> list[str]:
    return [json.loads(line).get("text", "") for line in path.read_text().splitlines()]


class TestReserve:
    def test_all_calls_are_in_one_private_file_which_a_later_run_appends_to(self, tmp_path: Path) -> None:
        written(tmp_path / "in", [guessed("gu"), *FINALS[:2]])
        sink = written(tmp_path / "in", FINALS[2:])

        assert sink.path == tmp_path / "in" / "undelivered.jsonl"
        assert texts(sink.path) == ["0", "1", "2", "3"]
        assert (sink.path.stat().st_mode & 0o777, sink.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    def test_text_is_for_people(self, tmp_path: Path) -> None:
        sink = written(tmp_path, [started(), said("hello"), ended()], form="text")

        assert sink.path.name == "undelivered.txt"
        assert "hello" in sink.path.read_text()

    def test_it_may_be_moved_away_while_the_service_runs(self, tmp_path: Path) -> None:
        async def main() -> Path:
            sink = ReserveSink(tmp_path, log=Log().log, in_thread=at_once)
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                sink.offer(FINALS[0])
                await trio.sleep(1)
                sink.path.rename(tmp_path / "taken")
                sink.offer(FINALS[1])
                await trio.sleep(1)
                sink.close()
            return sink.path

        path = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        assert (texts(tmp_path / "taken"), texts(path)) == (["0"], ["1"])

    def test_each_batch_is_on_the_disk_before_it_is_counted_as_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failures, synced = [OSError(errno.EIO, os.strerror(errno.EIO))], []

        def fsync(fd: int) -> None:
            if failures:
                raise failures.pop()
            synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)

        monkeypatch.setattr(os, "fsync", fsync)
        sink = written(tmp_path, FINALS)

        assert synced == ["undelivered.jsonl"]
        assert texts(sink.path)[-4:] == ["0", "1", "2", "3"]  # twice is better than not at all
        assert sink.undelivered() == []

    def test_a_disk_that_is_full_for_a_while(self, tmp_path: Path) -> None:
        sink = written(tmp_path, FINALS, write=Disk([(100, errno.ENOSPC), (0, errno.ENOSPC)]))

        assert texts(sink.path) == ["0", "1", "2", "3"]

    def test_one_that_stays_full_leaves_all_of_it_to_whoever_comes_next(self, tmp_path: Path) -> None:
        sink = ReserveSink(tmp_path, log=Log().log, in_thread=at_once, write=FullDisk())
        for event in FINALS:
            sink.offer(event)
        sink.close()

        with pytest.raises(Problem, match="No space left") as full:
            trio.run(sink.run, clock=trio.testing.MockClock(autojump_threshold=0))
        assert full.value.exit_code is Exit.OUTPUT
        assert sink.undelivered() == FINALS

    def test_a_directory_that_cannot_be_is_said_at_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(Problem, match="make the directory first"):
            written(tmp_path / "none" / "in", FINALS)

    def test_a_link_in_its_place_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_text("precious\n")
        (tmp_path / "undelivered.jsonl").symlink_to(tmp_path / "precious")

        with pytest.raises(Problem, match="remove it"):
            written(tmp_path, FINALS)
        assert (tmp_path / "precious").read_text() == "precious\n"


class TestSpill:
    def test_finals_are_lines_and_an_event_that_cannot_be_told_stops_no_other(self) -> None:
        lines: list[bytes] = []
        spill = Spill(lines.append, in_thread=at_once)
        for event in [FINALS[0], guessed("gu"), said("bad", words=[object()]), FINALS[1]]:
            spill.offer(event)
        spill.close()
        trio.run(spill.run)

        assert [json.loads(line)["text"] for line in lines] == ["0", "1"]
        assert spill.undelivered() == []

    def test_standard_error_that_fails_is_nobodys_end(self, capfd: pytest.CaptureFixture[str]) -> None:
        standard_error(b"line\n")
        kept = os.dup(2)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, 2)
        try:
            standard_error(b"nowhere\n")
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(full)

        assert capfd.readouterr().err == "line\n"
