"""A watched directory: what is dropped there is transcribed, its transcript is put beside it, and both are in `done`.

A file is taken when nobody has written to it for two seconds, and a WAV that is shorter than its header says only when
nobody has for a minute. One that is moved there, under its name, is whole at once, and is the sure way; a name that
begins with a dot, or ends like those that copying programs use meanwhile, is left alone. One that has changed when its
transcription ends was still being written, and is begun again. `trays` says why a crash neither loses a file nor
transcribes one twice.

What becomes of a file is decided by what became of its call (`fate`). All of it transcribed: `done`. Something of it not
transcribed, for whatever reason: `failed`, with what there is of a transcript and a line that says why; moving it back
tries it again. Not begun because the server is out of reach: it is begun again, for as long as that takes. Ended with
the service: it stays, and the next start begins with it.

The directory is polled, since inotify knows nothing of what other machines do to a network file system, loses events when
it is flooded, and would still need a look at the start. Every look and every step is in a thread: a server of files that
does not answer keeps nobody but this intake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from ..config import IntakeConfig
from ..core.plain import plain
from ..core.problem import Problem
from ..core.rest import Resting
from ..sources import FileSource
from ..sources.feed import Source
from ..sources.file import Disk
from . import Arrival, Reception
from .dropped import Heard, Lines, Whole, fate, shown
from .trays import Ending, Seen, Trays

LOOK = 1.0  # seconds between two looks
SELDOM = 10.0  # a look at a directory so large or so slow that it takes long is taken no more often than this makes of it
REST = 2.0  # seconds for which nobody has written to a file that is whole
STALLED = 60.0  # seconds for which nobody has written to a WAV that is not, and never will be
AT_ONCE = 10  # files: they can wait, and who telephones cannot, so the rest of the house is for others
AGAIN = 60.0  # seconds after which a file is begun again: the server was out of reach, or it was still being written to
RETRY = 1.0  # seconds between two tries to write to a disk that is full
PATIENCE = 30.0  # seconds for such tries once the service ends: what is not written by then is transcribed again
PASSED_OVER = 10.0  # seconds after which somebody should know that a file is not taken

T = TypeVar("T")


class InThread(Protocol):
    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]: ...


LinesOf = Callable[[Literal["jsonl", "text"]], Lines]


class DirectoryIntake:
    """`intakes.Intake` for `kind = "directory"`."""

    def __init__(
        self,
        config: IntakeConfig,
        reception: Reception,
        *,
        log: FilteringBoundLogger,
        lines: LinesOf,
        in_thread: InThread | None = None,
        source: Callable[[str], Source] = FileSource,
        trays: Trays | None = None,
    ) -> None:
        self.config = config
        self._reception = reception
        self._log = log.bind(intake=config.name)
        self._lines = lines
        self._in_thread: InThread = in_thread or Disk()  # which waits for its thread, so that the lock outlives each step
        self._source = source
        self._trays = trays or Trays(Path(config.directory or ""))
        self._dropped, self._left, self._stalled = Resting(REST), Resting(REST), Resting(STALLED)
        self._watching = trio.CancelScope()
        self._busy: set[str] = set()  # files that are being worked on
        self._aside: set[str] = set()  # files that are left to the next start
        self._later: dict[str, float] = {}  # when such a file may be begun again
        self._told: set[tuple[str, str]] = set()  # files, and what was said of them
        self._ignored: dict[str, float] = {}  # since when
        self._unreachable = False

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            await self._in_thread(self._open)
            async with trio.open_nursery() as nursery:
                with self._watching:
                    task_status.started(str(self._trays.directory))
                    await self._watch(nursery)
        finally:
            self._trays.close()

    def _open(self) -> None:
        try:
            self._trays.open()
        except Problem as problem:
            raise Problem(f'[[intake]] "{plain(self.config.name, 60)}": {problem.cause}', problem.hint, problem.exit_code) from None

    def close(self) -> None:
        self._watching.cancel("no file is taken any more")

    @property
    def _closed(self) -> bool:
        return self._watching.cancel_called

    # Looking

    async def _watch(self, nursery: trio.Nursery) -> None:
        while True:
            began = trio.current_time()
            try:
                await self._look(nursery)
                self._unreachable = False
            except Exception as error:  # a bug in a look ends no call, here or elsewhere
                if not self._unreachable:
                    bug = None if isinstance(error, OSError | Problem) else error
                    cause, hint = (error.cause, error.hint) if isinstance(error, Problem) else (str(error), "")
                    self._log.error("directory_unreachable", problem=cause, hint=hint or "it is tried again every second", exc_info=bug)
                self._unreachable = True
            await trio.sleep(max(LOOK, SELDOM * (trio.current_time() - began)))

    async def _look(self, nursery: trio.Nursery) -> None:
        seen: Seen = await self._in_thread(partial(self._trays.look, frozenset(self._busy | self._aside)))
        now = trio.current_time()
        self._mention(seen, now)
        left, dropped = self._left.look(now, seen.left), self._dropped.look(now, seen.dropped)
        stalled = self._stalled.look(now, seen.dropped)
        for stem in left:  # what was taken goes first
            if now < self._later.get(stem, now):
                continue
            if not self._room:
                return
            self._begin(stem, nursery)
        for name in dropped:
            if not self._room:
                return
            try:
                taken = await self._in_thread(partial(self._trays.take, name, seen.dropped[name], short=name in stalled))
            except OSError as error:
                self._once(name, "file_stuck", error.strerror or str(error))
            else:
                if taken is not None:
                    self._begin(taken, nursery)

    @property
    def _room(self) -> bool:
        return len(self._busy) < AT_ONCE and not self._reception.refusal()

    def _begin(self, stem: str, nursery: trio.Nursery) -> None:
        self._busy.add(stem)
        self._later.pop(stem, None)
        nursery.start_soon(self._attend, stem, name=f"file {plain(stem)}")

    def _mention(self, seen: Seen, now: float) -> None:
        """Say once what keeps a file from being taken, or from being moved."""
        self._ignored = {name: self._ignored.get(name, now) for name in seen.ignored}
        for name, why in seen.ignored.items():
            if now - self._ignored[name] >= PASSED_OVER:
                self._once(name, "file_ignored", why)
        for name, error in seen.stuck.items():
            self._once(name, "file_stuck", f"{error.strerror or error} ({plain(str(error.filename2 or error.filename))})")
        names = seen.ignored.keys() | seen.stuck.keys() | seen.dropped.keys()
        self._told = {(name, what) for name, what in self._told if name in names}

    def _once(self, name: str, event: str, why: str) -> None:
        if (name, event) not in self._told:
            self._told.add((name, event))
            self._log.warning(event, file=shown(name), problem=why)

    # One file

    async def _attend(self, stem: str) -> None:
        """A file that was taken, until its call has ended and it is moved, or begun again later."""
        try:
            await self._transcribe(stem)
        except Exception:  # it stays aside, or it would be paid for again and again; the next start begins with it
            self._aside.add(stem)
            self._log.exception("intake_crashed", file=shown(stem))
            self._reception.rejected("failed", file=shown(stem))
        finally:
            self._busy.discard(stem)

    async def _transcribe(self, stem: str) -> None:
        config = self.config
        try:
            stamp = await self._in_thread(partial(self._trays.stamp, stem))
        except OSError as error:
            return self._wait(stem, "file_stuck", error.strerror or str(error))
        if stamp is None:
            return None
        whole = Whole(self._source(str(self._trays.working / stem)))
        heard = Heard(self._lines(config.format))
        taken = await self._reception.take(
            Arrival(
                shown(stem), whole, metadata={"file": shown(stem)}, realtime=config.pace == "realtime", hear=heard.hear
            )
        )  # fmt: skip
        what, why = fate(taken, whole=whole.over, reached=heard.reached, leaving=self._closed, advice=heard.advice)
        why = why.replace(f"{plain(str(self._trays.working))}/", "")  # it does not stay there
        if what == "wait":
            return self._wait(stem, "file_waits", why) if why else None
        why = why or heard.broken
        ending: Ending = ".txt" if config.format == "text" else ".jsonl"
        finish = partial(self._trays.finish, stem, stamp, ending, b"".join(heard.lines), why)
        if not await self._finished(stem, finish):
            return None
        if why:
            self._log.error("file_failed", file=shown(stem), problem=why)
        else:
            self._log.info("file_done", file=shown(stem))
        return None

    def _wait(self, stem: str, event: str, why: str) -> None:
        """Not at once: each time may cost as much as the one before."""
        self._later[stem] = trio.current_time() + AGAIN
        self._log.warning(event, file=shown(stem), problem=why, again_in=AGAIN)

    async def _finished(self, stem: str, finish: Callable[[], bool]) -> bool:
        """Whether it is over. A full disk is waited for: what is in memory was paid for."""
        tried, closed_at = False, None
        while True:
            try:
                over = await self._in_thread(finish)
                break
            except (OSError, Problem) as error:
                if not tried:
                    self._log.error("transcript_stuck", file=shown(stem), problem=str(error), hint="it is tried again every second")
                tried = True
            now = trio.current_time()
            closed_at = (closed_at or now) if self._closed else None
            if closed_at is not None and now - closed_at >= PATIENCE:
                self._log.error("transcript_lost", file=shown(stem), hint="the next start transcribes the file again")
                return False
            await trio.sleep(RETRY)
        if not over:
            self._wait(stem, "file_changed", "it was still being written to, or somebody has taken it away")
        return over
