"""A descriptor that takes whole lines or nothing of them.

A disk that fills up in the middle of a line leaves half of it, and a reader of JSON Lines stops there. So what was
written of a line that could not be finished is cut off again; where it cannot be cut off, the next line starts afresh.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

Write = Callable[[int, memoryview], int]


class WholeLines:
    """Synchronous: a slow disk or a slow reader blocks it, so it belongs into a thread."""

    def __init__(self, fd: int, *, name: str = "", torn: bool = False, write: Write = os.write) -> None:
        self.fd = fd
        self._name = name  # what an error is about
        self._write = write
        self._file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._append = bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND)
        self._torn = torn  # what is there ends in the middle of a line

    def append(self, lines: Sequence[bytes]) -> tuple[int, OSError | None]:
        """How many of the lines are wholly out, and what kept the others back. Each ends in a newline, or is empty."""
        repair = b"\n" if self._torn else b""
        begin = self._position()
        done, failure = self._put(memoryview(repair + b"".join(lines)))
        if failure is None:
            self._torn = False
            return len(lines), None
        failure.filename = self._name
        whole, count = 0, 0
        end = len(repair)
        while end <= done and count < len(lines):
            whole = end
            end += len(lines[count])
            count += end <= done
        if done > whole:
            self._torn = not self._cut(begin + whole, begin + done)
        elif done:
            self._torn = False
        return count, failure

    def _put(self, data: memoryview) -> tuple[int, OSError | None]:
        done = 0
        while done < len(data):
            try:
                done += self._write(self.fd, data[done:])
            except BlockingIOError:  # whoever shares the description has made it non-blocking
                takes_more(self.fd, wait=True)
            except OSError as error:
                return done, error
        return done, None

    def _position(self) -> int:
        if not self._file:
            return 0
        return os.fstat(self.fd).st_size if self._append else os.lseek(self.fd, 0, os.SEEK_CUR)

    def _cut(self, whole: int, end: int) -> bool:
        """Whether the half line is gone; what another writer has put after it is never cut."""
        try:
            if not self._file or os.fstat(self.fd).st_size != end:
                return False
            os.ftruncate(self.fd, whole)
            os.lseek(self.fd, whole, os.SEEK_SET)
        except OSError:
            return False
        return True

    def sync(self) -> None:
        """Returns once a file is on its disk; raises OSError when the disk says it is not."""
        if self._file:
            try:
                os.fsync(self.fd)
            except OSError as error:
                error.filename = self._name
                raise

    def close(self) -> None:
        with suppress(OSError):  # everything is written, and sync has said what the disk thinks of it
            os.close(self.fd)


def create_private(path: Path, *, write: Write = os.write) -> WholeLines:
    """A new file that only its owner may read. Raises OSError: FileExistsError where there is anything of that name."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with suppress(OSError):
        os.fchmod(fd, 0o600)
    return WholeLines(fd, name=str(path), write=write)


def open_private(path: Path, *, write: Write = os.write) -> WholeLines:
    """A regular file that only its owner may read, made where there is none. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(0, "is not a regular file", str(path))
    with suppress(OSError):
        os.fchmod(fd, 0o600)
    return WholeLines(fd, name=str(path), torn=_ends_torn(path), write=write)


def open_named(path: Path, *, write: Write = os.write) -> WholeLines:
    """What a person has named: a link is followed, a FIFO or a device will do. Raises OSError; never waits for a reader."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0o600)
    os.set_blocking(fd, True)
    torn = stat.S_ISREG(os.fstat(fd).st_mode) and _ends_torn(path)
    return WholeLines(fd, name=str(path), torn=torn, write=write)


def _ends_torn(path: Path) -> bool:
    """Whether an earlier process was stopped in the middle of a line."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
    except OSError:
        return False


def takes_more(fd: int, *, wait: bool = False) -> bool:
    """Whether a write of a few bytes would not block; never waits for the answer unless told to."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(event & select.POLLOUT for _, event in poll.poll(None if wait else 0))
