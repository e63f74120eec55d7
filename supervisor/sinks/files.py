"""Transcripts as files, one for each call in a directory.

A call's id comes from outside and never becomes a path: whatever is not a plain character is escaped, so two ids never
share a file and none leaves the directory.
"""

from __future__ import annotations

import errno
import hashlib
import os
import string
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from threading import Lock

import trio
from structlog.typing import FilteringBoundLogger

from supervisor.events import CallEnded, Event
from supervisor.sinks.encoding import ENDINGS, Form, lines_of
from supervisor.sinks.lines import WholeLines, Write, open_private
from supervisor.sinks.outbox import Boxed
from supervisor.sinks.writing import PASSING, InThread, OneThread, Written, not_written, write_out

PLAIN = frozenset((string.ascii_letters + string.digits + "-_.").encode())
LONGEST = 200  # bytes of a name before its ending; a file system takes 255


def file_name(call_id: str, ending: str = ".jsonl") -> str:
    """A name for the call's file: the same id gives the same name, another id another.

    >>> file_name("line-1"), file_name("../../etc/passwd")
    ('line-1.jsonl', '%2E.%2F..%2Fetc%2Fpasswd.jsonl')
    """
    raw = call_id.encode("utf-8", "surrogatepass")
    name = "".join(chr(byte) if byte in PLAIN else f"%{byte:02X}" for byte in raw) or "%"
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 33]}~{hashlib.sha256(raw).hexdigest()[:32]}"
    return name + ending


def private_directory(path: Path) -> None:
    """Makes the directory, for its owner alone, where there is none; raises OSError where it cannot be written to."""
    path.mkdir(mode=0o700, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "this directory cannot be written to", str(path))


class FilesSink(Boxed):
    """Appends each event to its call's file, which is opened with the first event and closed after the last.

    Files are for their owner alone. A disk that is full is tried again, see `write_out`; a file is on its disk once its
    call has ended.
    """

    def __init__(
        self,
        directory: Path,
        *,
        log: FilteringBoundLogger,
        name: str = "files",
        form: Form = "jsonl",
        interims: bool = False,
        patience: float = 30.0,
        in_thread: InThread | None = None,
        committed: Callable[[Event], None] = lambda _: None,
        write: Write = os.write,
    ) -> None:
        self._directory = directory
        self._lines = lines_of(form)
        self._ending = ENDINGS[form]
        self._log = log
        super().__init__(name, interims=interims)
        self._patience = patience
        self._in_thread = in_thread or OneThread()
        self._committed = committed
        self._write_bytes = write
        self._files: dict[str, WholeLines] = {}  # by call id; only for whoever holds the lock
        self._lock = Lock()
        self._over = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            try:
                await self._in_thread(lambda: private_directory(self._directory))
            except OSError as error:
                raise not_written(error) from error
            task_status.started()
            await write_out(
                self._outbox, self._write, log=self._log, in_thread=self._in_thread,
                patience=self._patience, passing=PASSING, committed=self._committed,
            )  # fmt: skip
        finally:
            self._over = True
            self._close_files()

    def _write(self, events: Sequence[Event]) -> Written:
        with self._lock:
            result = self._append(events)
        if self._over:  # this thread was left behind, and has only now come back
            self._close_files()
        return result

    def _append(self, events: Sequence[Event]) -> Written:
        done = 0
        for call_id, run in groupby(events, key=lambda event: event.call_id):
            group = list(run)
            try:
                file = self._files.get(call_id)
                if file is None:
                    path = self._directory / file_name(call_id, self._ending)
                    file = self._files[call_id] = open_private(path, write=self._write_bytes)
            except OSError as error:
                return done, error
            count, failure = file.append([self._lines.line(event) for event in group])
            done += count
            if failure is not None:
                return done, failure
            if isinstance(group[-1], CallEnded):
                self._end(call_id)
        return done, None

    def _end(self, call_id: str) -> None:
        self._lines.forget(call_id)
        file = self._files.pop(call_id)
        try:
            file.sync()
        except OSError as error:
            raise not_written(error) from error
        finally:
            file.close()

    def _close_files(self) -> None:
        if self._lock.acquire(blocking=False):  # a thread that hangs in a write has it, and its files
            while self._files:
                self._files.popitem()[1].close()
            self._lock.release()
