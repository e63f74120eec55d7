"""Transcripts as files, one for each call in a directory.

A file has its name once its call has ended and it is on its disk, so whoever collects transcripts never takes half of
one; see `part`. A call's id comes from outside and never becomes a path: whatever is not a plain character is escaped,
so two ids never share a file and none leaves the directory.
"""

from __future__ import annotations

import errno
import hashlib
import os
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock

import trio
from structlog.typing import FilteringBoundLogger

from supervisor.events import CallEnded, Event
from supervisor.sinks.encoding import ENDINGS, Form, lines_of
from supervisor.sinks.lines import Write
from supervisor.sinks.outbox import ROOM, Boxed
from supervisor.sinks.part import PartFile, can_be_written_to, private_directory
from supervisor.sinks.writing import (
    PASSING,
    RETRY_EVERY,
    CallBroken,
    InThread,
    OneThread,
    Written,
    encoded,
    not_written,
    write_out,
)

PLAIN = frozenset((string.ascii_letters + string.digits + "-_.").encode())
STUMBLES = frozenset({errno.EIO, errno.ESTALE})
LONGEST = 200  # bytes of a name before its ending; a file system takes 255


def file_stem(call_id: str) -> str:
    """A name for the call's file, before its ending: the same id gives the same name, another id another.

    >>> file_stem("line-1"), file_stem("../../etc/passwd")
    ('line-1', '%2E.%2F..%2Fetc%2Fpasswd')
    """
    raw = call_id.encode("utf-8", "surrogatepass")
    name = "".join(chr(byte) if byte in PLAIN else f"%{byte:02X}" for byte in raw) or "%"
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 33]}~{hashlib.sha256(raw).hexdigest()[:32]}"
    return name


class FilesSink(Boxed):
    """Each event goes into its call's file, which is begun with the first event and appears after the last.

    Files are for their owner alone. A disk that is full is tried again, see `write_out`. What is wrong with one file is
    the end of its call and of no other, unless it is the directory that cannot be written to.
    """

    def __init__(
        self,
        directory: Path,
        *,
        log: FilteringBoundLogger,
        form: Form = "jsonl",
        interims: bool = False,
        patience: float = 30.0,
        in_thread: InThread | None = None,
        committed: Callable[[Event], None] = lambda _: None,
        write: Write = os.write,
        name: str = "files",
        room: int = ROOM,
    ) -> None:
        super().__init__(name, interims=interims, room=room)
        self._directory = directory
        self._lines = lines_of(form)
        self._ending = ENDINGS[form]
        self._log = log
        self._patience = patience
        self._in_thread = in_thread or OneThread()
        self._committed = committed
        self._write_bytes = write
        self._files: dict[str, PartFile] = {}  # by call id; only for whoever holds the lock
        self._tries: Counter[str] = Counter()  # in a row that a call's file has stumbled
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
                patience=self._patience, passing=PASSING, committed=self._committed, refuse=self._refuse,
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
        for run in _of_one_call(events):
            count, error = self._append_to(run)
            done += count
            if error is not None:
                return done, self._blamed(run[0].call_id, error)
            self._tries.pop(run[0].call_id, None)
        return done, None

    def _append_to(self, run: list[Event]) -> Written:
        call_id = run[0].call_id
        ends = isinstance(run[-1], CallEnded)
        try:
            file = self._files.get(call_id)
            if file is None:
                stem = file_stem(call_id)
                file = self._files[call_id] = PartFile(self._directory, stem, self._ending, write=self._write_bytes)
        except OSError as error:
            return 0, error
        if not file.written:
            lines, broken = encoded(self._lines, run)
            count, failure = file.append(lines)
            if failure or broken:
                return count, failure or broken
            file.written = ends
            if ends:
                try:
                    file.sync()
                except OSError as error:  # what it did not keep it has forgotten by now: it must not pass for whole
                    return len(run) - 1, CallBroken(call_id, not_written(error))
        if ends:
            try:
                file.appear()
            except OSError as error:
                return len(run) - 1, error
            self._leave(call_id)
        return len(run), None

    def _blamed(self, call_id: str, error: OSError | CallBroken) -> OSError | CallBroken:
        """Whether an error is this call's alone. Its file stays as far as it came."""
        if isinstance(error, OSError):
            if error.errno in STUMBLES:  # it may be one bad file, for which all the others wait
                self._tries[call_id] += 1
            if error.errno in PASSING and self._tries[call_id] * RETRY_EVERY <= self._patience:
                return error
            if not can_be_written_to(self._directory):
                return error
        self._leave(call_id)
        return error if isinstance(error, CallBroken) else CallBroken(call_id, not_written(error))

    def _leave(self, call_id: str) -> None:
        self._tries.pop(call_id, None)
        self._lines.forget(call_id)
        if file := self._files.pop(call_id, None):
            file.close()

    def _close_files(self) -> None:
        if self._lock.acquire(blocking=False):  # a thread that hangs in a write has it, and its files
            while self._files:
                self._files.popitem()[1].close()
            self._lock.release()


def _of_one_call(events: Sequence[Event]) -> Iterator[list[Event]]:
    """What follows each other of one call, and no further than its end: another call may have the same id."""
    run: list[Event] = []
    for event in events:
        if run and (event.call_id != run[-1].call_id or isinstance(run[-1], CallEnded)):
            yield run
            run = []
        run.append(event)
    if run:
        yield run
