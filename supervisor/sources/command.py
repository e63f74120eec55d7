"""Audio from a child that writes it to its stdout: ffmpeg, arecord, sox.

The child has a process group of its own and ends with the source: its pipe is closed, then SIGTERM, then SIGKILL to
the whole group, and it is always waited for. What it says on stderr is kept, the end of it, for the day it fails.

The audio ends when nobody holds the pipe any more. A child that has gone may have left it to one of its own; what
that one still writes is audio, but once it has been quiet for `GRACE` it is not waited for.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import PurePath

import trio

from ..core.plain import plain
from ..core.problem import Exit, Problem
from ..core.unwrap import Declared, Unwrap
from .ahead import beside, tapped
from .feed import Feed
from .pipe import Pipe, close

GRACE = 2.0  # seconds: to leave after SIGTERM; to exit after the last audio
TAIL = 2048  # bytes kept of what the child says
SECRET = r"password|passwd|passphrase|secret|token|api[-_]?key"
SECRETS = (  # what a child may repeat of its command line, and what is shown of it
    (re.compile(r"(?<=://)[^/\s]*@"), "***@"),
    (re.compile(r"([?&][\w.-]+=)[^&\s:]+"), r"\1***"),
    (re.compile(r"(?i)(authorization:\s*).+"), r"\1***"),
    (re.compile(rf"(?i)(\b(?:{SECRET})\s*[:=]\s*|-(?:{SECRET})\s+)[^\s*]\S*"), r"\1***"),
)


class Child:
    """A running child as a tap: its audio, and in the end how it ended."""

    def __init__(self, name: str, process: trio.Process, audio: int) -> None:
        self._name = name
        self._process = process
        self._pipe = Pipe(audio, joined=True)
        self._said = b""
        self._said_more = False  # than is kept
        self._said_all = trio.Event()
        self._over = trio.Event()  # there will be no more audio
        self._judged = trio.Event()  # and it is known why
        self._problem: Problem | None = None
        self._quiet_since: float | None = None
        self._ended = False

    def read(self, limit: int) -> bytes | None:
        if self._judged.is_set():
            if self._problem is not None:
                raise self._problem
            return b""
        if self._over.is_set():
            return None
        data = self._pipe.read(limit)
        if data:
            self._quiet_since = None
            return data
        if data == b"" or self._abandoned():
            self._over.set()
        return None

    async def readable(self) -> None:
        if self._over.is_set():
            await self._judged.wait()
        else:
            with trio.move_on_after(GRACE):  # nothing wakes a reader whose child has gone and left the pipe open
                await self._pipe.readable()

    async def listen(self) -> None:
        """Keep the end of what the child says."""
        stderr = self._process.stderr
        assert stderr is not None
        async for said in stderr:
            self._said += said
            self._said_more = self._said_more or len(self._said) > TAIL
            self._said = self._said[-TAIL:]
        self._said_all.set()

    async def judge(self) -> None:
        """Once there is no more audio, find out why; a child that has merely closed its pipe is ended."""
        await self._over.wait()
        with trio.move_on_after(GRACE):
            await self._process.wait()
        status = self._process.returncode
        await self.end()
        with trio.move_on_after(GRACE):
            await self._said_all.wait()
        if status:
            said = self._said.decode("utf-8", "replace")
            if self._said_more:  # it begins somewhere in a word, of which nobody can tell that it is a secret
                said = said.lstrip().partition(" ")[2]
            hint = _hidden(said)
            cause = f"{self._name} {_fate(status)}"
            self._problem = Problem(cause, hint or "run it by hand to see why", Exit.NO_INPUT)
        self._judged.set()

    async def end(self) -> None:
        """Nothing of the child's group is left afterwards."""
        if self._ended:  # its number may be another's by now
            return
        self._ended = True
        with trio.CancelScope(shield=True):
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError, PermissionError):  # nobody left
                    os.killpg(self._process.pid, number)
                with trio.move_on_after(GRACE):
                    await self._process.wait()

    def _abandoned(self) -> bool:
        if self._process.poll() is None:
            return False
        now = trio.current_time()
        if self._quiet_since is None:
            self._quiet_since = now
        return now - self._quiet_since > GRACE


@dataclass(frozen=True, slots=True)
class CommandSource:
    command: str  # split as a shell would, and run without one
    declared: Declared = field(default_factory=Declared)
    live: bool = True

    @property
    def label(self) -> str:
        """Its program alone: arguments may hold secrets."""
        return f"command:{plain(PurePath(self.words()[0]).name)}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        unwrap = Unwrap(f"the output of {self.label}", self.declared, settled=True)
        async with self._started() as child, beside(child.listen, child.judge):
            async with tapped(child, unwrap, live=self.live) as feed:
                yield feed

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[Child]:
        words = self.words()
        with ExitStack() as pipe:
            audio, theirs = os.pipe()
            pipe.callback(close, audio)
            os.set_blocking(audio, False)
            try:
                process = await trio.lowlevel.open_process(
                    words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True
                )
            except OSError as error:
                hint = "install it, or give its full path" if isinstance(error, FileNotFoundError) else "try it by hand"
                why = "" if isinstance(error, FileNotFoundError) else f" ({error.strerror})"
                raise Problem(f"cannot run {plain(words[0])}{why}", hint, Exit.NO_INPUT) from None
            finally:
                os.close(theirs)
            assert process.stderr is not None
            child = Child(self.label, process, audio)
            try:
                yield child
            finally:
                pipe.close()  # first, or a child that is writing could not hear the signal
                await child.end()  # noqa: ASYNC102 - it shields itself, within a deadline
                await trio.aclose_forcefully(process.stderr)

    def words(self) -> list[str]:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise Problem(f"cannot read the command {plain(self.command)!r}", str(error).lower()) from None
        if "\0" in self.command:
            raise Problem(f"cannot read the command {plain(self.command)!r}", "it has a zero byte in it")
        if not words or not words[0]:
            raise Problem("the source names no command", "such as command:arecord -t raw -f S16_LE -r 16000")
        return words


def _fate(status: int) -> str:
    """
    >>> _fate(3), _fate(-9), _fate(-35)
    ('ended with status 3', 'was killed by SIGKILL', 'was killed by signal 35')
    """
    if status > 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # most real-time signals have no name of their own
        return f"was killed by signal {-status}"


def _hidden(said: str) -> str:
    """A child's last words on one line, without the secrets that it repeats from its command line.

    >>> _hidden("rtsp://me:secret@host/a?key=secret: no route\\n")
    'rtsp://***@host/a?key=***: no route'
    """
    lines = said.splitlines()[-3:]
    for pattern, shown in SECRETS:
        lines = [pattern.sub(shown, line) for line in lines]
    return plain(" / ".join(lines), 300)
