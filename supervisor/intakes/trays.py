"""The trays of a watched directory: where a file is says how far its transcription has come.

Every step is one rename within one file system, and both directories are on their disk before the next step. So
whatever stops the process, and whenever, the next one finds each file in exactly one of these states:

    ==============================  =================================  ==========================================
    what is there                   what it means                      what is done about it
    ==============================  =================================  ==========================================
    NAME                            not taken                          taken, once nobody writes to it
    working/NAME                    taken; `.NAME.jsonl.part` beside   transcribed from its beginning; what was
                                    it, if there is one, is unfinished written of a transcript is written anew
    working/.NAME.jsonl.done, and   the transcript is whole, and on    moved, not transcribed again
    working/NAME or not             its disk: the one moment in which
                                    a file becomes done
    working/.NAME.failed, and       the line that says why is on its   moved, not transcribed again
    working/NAME or not             disk: the one moment in which a
                                    file becomes failed
    done/NAME.jsonl, done/NAME      over; the transcript comes last,
                                    so the audio is there already
    failed/NAME.error.txt,          over; the line comes last
    failed/NAME and, if there is
    any, failed/NAME.jsonl
    ==============================  =================================  ==========================================

A mark begins with a dot, and what is dropped under such a name is never taken: no file can pass for a mark. The name
that a file has from `working` on is chosen when it is taken, such that nothing which will be made of it is there yet
or is promised to another file: `call~2.wav` where there was a `call.wav`. So nothing is ever written over.

Whoever holds `working/.lock` (flock) is alone here; the kernel takes it back from a process that dies. All of this is
synchronous, and for one thread at a time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..core.plain import plain
from ..core.problem import Exit, Problem
from ..core.rest import Stamp, announces_more

Ending = Literal[".jsonl", ".txt"]
ENDINGS: tuple[Ending, ...] = (".jsonl", ".txt")
ERROR = ".error.txt"
UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")  # as those who copy call what is not whole yet
OVER = ("done", "failed")
HEAD = 65536  # bytes of a file, in which the header of a WAV ends as a rule
LONGEST = 200  # bytes of a name: a file system takes 255, and ours add to it

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found."""

    dropped: Mapping[str, Stamp] = field(default_factory=dict)  # files that may be taken once they rest
    left: Mapping[str, Stamp] = field(default_factory=dict)  # files that were taken, and that nobody works on
    ignored: Mapping[str, str] = field(default_factory=dict)  # names, and why they are not taken
    stuck: Mapping[str, OSError] = field(default_factory=dict)  # files that are over and cannot be moved


class Trays:
    """One directory. Every method may raise OSError, and may be called again."""

    def __init__(self, directory: Path, *, step: Step = lambda _: None) -> None:
        self.directory = directory.absolute()
        self.working, self.done, self.failed = (self.directory / name for name in ("working", "done", "failed"))
        self._step = step  # called before each change, with its name
        self._lock = -1

    # Being alone

    def open(self) -> None:
        """Be the only one here, with all trays; called again by all that follows. Raises Problem where that cannot be."""
        try:
            self._make()
            if self._lock >= 0 and self._is_ours():
                return
            self.close()
            lock = os.open(self.working / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BaseException:
                os.close(lock)
                raise
        except BlockingIOError:
            cause = f"{plain(str(self.directory))} is watched already"
            raise Problem(cause, "give each intake a directory of its own", Exit.CONFIG) from None
        except OSError as error:
            raise _unusable(self.directory, error) from None
        self._lock = lock

    def _make(self) -> None:
        """Trays for their owner alone, where they are not there; raises PermissionError where they are of no use."""
        device = self.directory.stat().st_dev
        for tray in (self.working, self.done, self.failed):
            tray.mkdir(mode=0o700, exist_ok=True)
            if tray.stat().st_dev != device:
                raise OSError(errno.EXDEV, "this tray is on another file system", str(tray))
        for directory in (self.directory, self.working, self.done, self.failed):
            if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))

    def _is_ours(self) -> bool:
        """The directory may have gone and come back as another one since."""
        try:
            return os.path.samestat(os.fstat(self._lock), (self.working / ".lock").stat())
        except OSError:
            return False

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # Looking

    def look(self, busy: Collection[str]) -> Seen:
        """Move what is over, and say what else there is; `busy` are the names that are being worked on."""
        self.open()
        stuck = {}
        marks = [(stem, kind) for stem, kind in self._marks() if stem not in busy]
        over = {stem for stem, kind in marks if kind in OVER}
        for stem in sorted(over):
            try:
                self.settle(stem)
            except OSError as error:
                stuck[stem] = error
        for stem in {stem for stem, _ in marks} - over:  # of files that are begun again, or that somebody took away
            self._sweep(stem)
        left, dropped, ignored = {}, {}, {}
        for name, found in _entries(self.working):
            if name in busy or name in over:
                continue
            if stat.S_ISREG(found.st_mode):
                left[name] = _stamp(found)
            else:
                ignored[f"working/{name}"] = "it is no file"
        for name, found in _entries(self.directory):
            if name.lower().endswith(UNFINISHED) or stat.S_ISDIR(found.st_mode):
                continue
            if why := self._unwanted(name, found):
                ignored[name] = why
            else:
                dropped[name] = _stamp(found)
        return Seen(dropped, left, ignored, stuck)

    def _unwanted(self, name: str, found: os.stat_result) -> str:
        if stat.S_ISLNK(found.st_mode):
            return "it is a symbolic link"
        if not stat.S_ISREG(found.st_mode):
            return "it is no file"
        if not found.st_size:
            return "it is empty"
        return "" if os.access(self.directory / name, os.R_OK) else "there is no permission to read it"

    def stamp(self, stem: str) -> Stamp | None:
        """Of a file that is being worked on; None where it has gone, or something else got in before it was taken."""
        try:
            found = (self.working / stem).lstat()
        except FileNotFoundError:
            return None
        return _stamp(found) if stat.S_ISREG(found.st_mode) else None

    # A file's way

    def take(self, name: str, stamp: Stamp, *, short: bool = True) -> str | None:
        """Not taken -> taken: its name from now on; None where it is not what was seen, which another look will tell.

        Nor is it taken, unless a `short` one is wanted, where it is a WAV that announces more audio than there is.
        """
        self.open()
        try:
            if _stamp((self.directory / name).lstat()) != stamp:
                return None
            if not short and announces_more(_head(self.directory / name), stamp.size):
                return None
            stem = self._free(name)
            self._move(self.directory / name, self.working / stem)
        except FileNotFoundError:
            return None
        return stem

    def finish(self, stem: str, stamp: Stamp, ending: Ending, transcript: bytes, failure: str = "") -> bool:
        """Taken -> done; or, with a line that says why, -> failed. What then cannot be moved, `look` tries again.

        False, and nothing is done: the file is another one than that of `stamp`. Where it has gone, what was heard of
        it is kept, and a failure is not: it may only have been out of reach.
        """
        self.open()
        if not any(each == stem and kind in OVER for each, kind in self._marks()):  # a server may rename and then say no
            if self.stamp(stem) not in ((stamp,) if failure else (stamp, None)):
                return False
            if transcript or not failure:
                self._write(self._mark(stem, f"{ending}.part"), transcript)
            if failure:
                self._write(self._mark(stem, ".failing"), failure.encode("utf-8", "replace") + b"\n")
                self._move(self._mark(stem, ".failing"), self._mark(stem, ".failed"))
            else:
                self._move(self._mark(stem, f"{ending}.part"), self._mark(stem, f"{ending}.done"))
        with suppress(OSError):
            self.settle(stem)
        return True

    def settle(self, stem: str) -> None:
        """Move what is over to where it belongs: the mark that says so last."""
        if (mark := self._mark(stem, ".failed")).exists():
            for ending in ENDINGS:
                self._move_if_there(self._mark(stem, f"{ending}.part"), self.failed / (stem + ending))
            self._move_if_there(self.working / stem, self.failed / stem)
            self._move_if_there(mark, self.failed / (stem + ERROR))
        for ending in ENDINGS:
            if (mark := self._mark(stem, f"{ending}.done")).exists():
                self._move_if_there(self.working / stem, self.done / stem)
                self._move_if_there(mark, self.done / (stem + ending))

    def _sweep(self, stem: str) -> None:
        for suffix in (".failing", *(f"{ending}.part" for ending in ENDINGS)):
            self._mark(stem, suffix).unlink(missing_ok=True)

    # Names

    def _mark(self, stem: str, suffix: str) -> Path:
        return self.working / f".{stem}{suffix}"

    def _marks(self) -> list[tuple[str, str]]:
        """The file that each mark is of, and what it says."""
        found = []
        for name in self._names():
            stem, _, kind = name[1:].rpartition(".")
            if not name.startswith("."):
                continue
            if kind in ("failing", "failed"):
                found.append((stem, kind))
            elif kind in ("part", "done") and stem.endswith(ENDINGS):
                found.append((stem[: stem.rindex(".")], kind))
        return found

    def _names(self) -> list[str]:
        return [path.name for path in self.working.iterdir()]

    def _free(self, name: str) -> str:
        """A name of which nothing that will be made is there, or is promised to a file that is being worked on."""
        taken = {stem for stem, _ in self._marks()} | set(self._names())
        promised = {product for stem in taken for product in _products(stem)}
        stem, suffix = Path(name).stem, Path(name).suffix
        number = 1
        while True:
            tail = ("" if number == 1 else f"~{number}") + os.fsdecode(os.fsencode(suffix)[:20])
            candidate = os.fsdecode(os.fsencode(stem)[: LONGEST - len(os.fsencode(tail))]) + tail
            products = _products(candidate)
            if promised.isdisjoint(products) and not any(
                os.path.lexists(tray / product) for tray in (self.done, self.failed) for product in products
            ):
                return candidate
            number += 1

    # Steps

    def _write(self, path: Path, content: bytes) -> None:
        """A file on its disk, for its owner alone, whatever was there before."""
        self._step(f"write {path.name}")
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(fd, rest) :]
            self._step(f"sync {path.name}")
            os.fsync(fd)
        finally:
            os.close(fd)

    def _move_if_there(self, here: Path, there: Path) -> None:
        if os.path.lexists(here):
            self._move(here, there)

    def _move(self, here: Path, there: Path) -> None:
        """Nothing is moved over anything: nobody else moves things here but by mistake."""
        if os.path.lexists(there):
            raise FileExistsError(errno.EEXIST, "something is in the way", str(there))
        self._step(f"move {here.name} to {there.parent.name}")
        here.rename(there)
        self._step(f"keep {there.name}")
        for directory in {there.parent: None, here.parent: None}:
            with suppress(OSError):  # where a directory cannot be synced, a power cut may undo the step, but not a word
                _sync(directory)


def _products(stem: str) -> frozenset[str]:
    return frozenset({stem, stem + ERROR, *(stem + ending for ending in ENDINGS)})


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_ino, found.st_size, found.st_mtime_ns)


def _head(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.read(fd, HEAD)
    finally:
        os.close(fd)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _entries(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """What is there, but for names that begin with a dot."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                with suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)


def _unusable(directory: Path, error: OSError) -> Problem:
    hint = {
        errno.ENOENT: "make it first",
        errno.ENOTDIR: "name a directory",
        errno.EACCES: "let this user read and write there",
        errno.EPERM: "let this user read and write there",
        errno.EROFS: "files are moved there: choose a file system that can be written to",
        errno.EXDEV: "files are moved by their name alone: remove the tray, and it is made anew",
        errno.ENOLCK: "its file system has no locks, without which two processes could take one file",
    }.get(error.errno or 0, "choose another one")
    at = f" ({plain(str(error.filename))})" if error.filename and error.filename != str(directory) else ""
    return Problem(f"{plain(str(directory))} cannot be watched: {error.strerror or error}{at}", hint, Exit.CONFIG)
