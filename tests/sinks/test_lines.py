"""A descriptor takes whole lines or nothing of them, whatever the disk does in the middle of one."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.sinks.lines import WholeLines, open_named, open_private, takes_more
from tests.sinks.disk import Disk

LINES = st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b" ") + b"\n" if raw else b""), max_size=12)
SCRIPT = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([errno.ENOSPC, errno.EIO, errno.EDQUOT])), max_size=8)


def write_all(output: WholeLines, lines: Sequence[bytes], most: int = 5) -> int:
    """All of them, a few at a time, each until it is out, as a sink does it; how often something was in the way."""
    failures = 0
    while lines:
        count, failure = output.append(lines[:most])
        failures += failure is not None
        assert failure is not None or count == len(lines[:most])
        lines = lines[count:]
    return failures


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for fd in ends:
            os.close(fd)


@pytest.mark.parametrize("flags", [os.O_APPEND, 0], ids=["appending", "by position"])
@settings(max_examples=60)
@given(LINES, SCRIPT, st.integers(1, 40), st.sampled_from([b"", b"before\n"]))
def test_a_file_holds_each_line_once_whatever_fails_in_between(
    flags: int, lines: list[bytes], script: list[tuple[int, int]], piece: int, before: bytes
) -> None:
    with tempfile.TemporaryFile() as file:
        fd = os.dup(file.fileno())
        os.write(fd, before)
        path = f"/proc/self/fd/{file.fileno()}"
        opened = os.open(path, os.O_WRONLY | flags)
        os.lseek(opened, 0, os.SEEK_END)
        output = WholeLines(opened, write=Disk(script, piece=piece))
        write_all(output, lines)
        output.close()
        os.close(fd)
        file.seek(0)

        assert before + b"".join(lines) == file.read()


@settings(max_examples=60)
@given(LINES, SCRIPT, st.integers(1, 40))
def test_between_failures_a_file_ends_with_a_whole_line(
    lines: list[bytes], script: list[tuple[int, int]], piece: int
) -> None:
    with tempfile.TemporaryFile() as file:
        output = WholeLines(os.dup(file.fileno()), write=Disk(script, piece=piece))
        while lines:
            count, _ = output.append(lines)
            lines = lines[count:]
            file.seek(0)

            assert file.read()[-1:] in (b"\n", b"")
        output.close()


@settings(max_examples=60)
@given(LINES, SCRIPT, st.integers(1, 40))
def test_in_a_pipe_the_line_after_a_torn_one_starts_afresh(
    lines: list[bytes], script: list[tuple[int, int]], piece: int
) -> None:
    """What a pipe has taken cannot be cut off again; but every line is there, whole, on a line of its own."""
    with pipe() as (reads, writes):
        write_all(WholeLines(os.dup(writes), write=Disk(script, piece=piece)), lines)
        os.write(writes, b"end\n")
        read = os.read(reads, 1 << 16).split(b"\n")
    rest = iter(read)

    assert all(line[:-1] in rest for line in lines if line)


def test_what_failed_is_said_with_the_file(tmp_path: Path) -> None:
    output = open_private(tmp_path / "a", write=Disk([(0, errno.ENOSPC)]))
    count, failure = output.append([b"line\n"])
    output.close()

    assert count == 0
    assert failure is not None
    assert (errno.ENOSPC, str(tmp_path / "a")) == (failure.errno, failure.filename)


@pytest.mark.parametrize("opens", [open_private, open_named])
def test_a_line_that_a_crash_has_left_torn_is_ended_first(tmp_path: Path, opens) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a"
    path.write_bytes(b'{"whole":1}\n{"tor')
    output = opens(path)
    output.append([b"next\n"])
    output.append([b"last\n"])
    output.close()

    assert path.read_bytes() == b'{"whole":1}\n{"tor\nnext\nlast\n'


def test_a_torn_line_is_ended_once_though_the_disk_is_full_at_first(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"torn")
    output = open_private(path, write=Disk([(0, errno.ENOSPC), (1, errno.ENOSPC), (2, errno.ENOSPC)]))
    write_all(output, [b"next\n", b"last\n"])
    output.close()

    assert path.read_bytes() == b"torn\nnext\nlast\n"


def test_what_somebody_else_has_written_is_never_cut(tmp_path: Path) -> None:
    path = tmp_path / "a"
    other = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(fd: int, data: memoryview) -> int:
        if len(data) == 6:
            return os.write(fd, data[:2])
        os.write(other, b"theirs\n")
        raise OSError(errno.ENOSPC, "full")

    output = open_private(path, write=write)
    count, failure = output.append([b"ours1\n"])
    output.close()
    os.close(other)

    assert (count, failure and failure.errno) == (0, errno.ENOSPC)
    assert path.read_bytes() == b"outheirs\n"


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for() -> None:
    """As ssh and node do with a standard output that they share."""
    with pipe() as (reads, writes):
        os.set_blocking(writes, False)
        lines = [b"x" * 1000 + b"\n"] * 300
        read = bytearray()

        def reader() -> None:
            while len(read) < 300 * 1001:
                read.extend(os.read(reads, 8192))

        thread = threading.Thread(target=reader, daemon=True)
        thread.start()

        assert WholeLines(writes).append(lines) == (300, None)
        thread.join(10)
        assert bytes(read) == b"".join(lines)


def test_dev_full_takes_nothing() -> None:
    output = open_named(Path("/dev/full"))
    count, failure = output.append([b"line\n"])
    output.close()

    assert (count, failure and failure.errno) == (0, errno.ENOSPC)


class TestPrivate:
    def test_a_file_is_for_its_owner_only(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            open_private(tmp_path / "new").close()
        finally:
            os.umask(before)

        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600

    def test_one_that_was_open_to_others_no_longer_is(self, tmp_path: Path) -> None:
        (tmp_path / "old").touch(0o644)
        open_private(tmp_path / "old").close()

        assert (tmp_path / "old").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("dangling", [True, False])
    def test_a_link_is_refused_and_what_it_names_untouched(self, tmp_path: Path, dangling: bool) -> None:
        target = tmp_path / "target"
        if not dangling:
            target.write_bytes(b"precious\n")
        (tmp_path / "link").symlink_to(target)

        with pytest.raises(OSError, match="symbolic links") as refused:
            open_private(tmp_path / "link")
        assert refused.value.errno == errno.ELOOP
        assert target.exists() is not dangling
        assert dangling or target.read_bytes() == b"precious\n"

    def test_a_fifo_is_refused_with_a_reader_or_without(self, tmp_path: Path) -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path)
        with pytest.raises(OSError, match="No such device"):
            open_private(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(OSError, match="is not a regular file"):
            open_private(path)
        os.close(reader)


class TestNamed:
    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "target")
        output = open_named(tmp_path / "link")
        output.append([b"line\n"])
        output.close()

        assert (tmp_path / "target").read_bytes() == b"line\n"

    def test_a_fifo_that_nobody_reads_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")

        with pytest.raises(OSError) as refused:  # noqa: PT011 - the number is what is tested
            open_named(tmp_path / "fifo")
        assert refused.value.errno == errno.ENXIO

    def test_its_mode_is_left_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.touch()
        path.chmod(0o644)
        open_named(path).close()

        assert path.stat().st_mode & 0o777 == 0o644


def test_a_full_pipe_takes_no_more() -> None:
    with pipe() as (_, writes):
        assert takes_more(writes)
        os.set_blocking(writes, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writes, b"x" * 65536)
        assert not takes_more(writes)
