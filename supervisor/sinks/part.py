"""A file that has its name only once it is whole.

Until then it is called NAME.part. That can be followed as it grows (`tail -F`), and it is what a crash leaves: whole
lines, and perhaps half of one at its end. No file is ever written to twice, nor over another: where a name is taken,
by a transcript or by anything else, the next one has a number, as in NAME~2.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from supervisor.sinks.lines import Write, create_private

PART = ".part"


class PartFile:
    """Synchronous, as its lines are. Making one raises OSError."""

    def __init__(self, directory: Path, stem: str, ending: str, *, write: Write = os.write) -> None:
        self.written = False  # nothing will be appended any more
        self._names = _names(directory, stem, ending)
        while True:
            self.path = next(self._names)
            self.part = _part(self.path)
            try:
                self._lines = create_private(self.part, write=write)
            except FileExistsError:
                continue
            if not os.path.lexists(self.path):  # from now on only who makes its part first would make it
                break
            self._lines.close()
            self.part.unlink(missing_ok=True)

    def append(self, lines: Sequence[bytes]) -> tuple[int, OSError | None]:
        return self._lines.append(lines)

    def sync(self) -> None:
        """Returns once the words are on their disk. Raises OSError when the disk says they are not: it knows that once."""
        self._lines.sync()

    def appear(self) -> None:
        """Give it its name. Raises OSError; may be tried again."""
        if os.path.lexists(self.path):  # somebody who does not know of parts has made it meanwhile
            self.path = next(path for path in self._names if not (os.path.lexists(path) or os.path.lexists(_part(path))))
        self.part.rename(self.path)
        with suppress(OSError):  # where a directory cannot be synced, a power cut may undo the name, but not the words
            _sync(self.path.parent)

    def close(self) -> None:
        self._lines.close()


def _part(path: Path) -> Path:
    return path.with_name(path.name + PART)


def _names(directory: Path, stem: str, ending: str) -> Iterator[Path]:
    for number in count(1):
        yield directory / f"{stem}{'' if number == 1 else f'~{number}'}{ending}"


def private_directory(path: Path) -> None:
    """Makes the directory, for its owner alone, where there is none; raises OSError where it cannot be written to."""
    path.mkdir(mode=0o700, exist_ok=True)
    if not can_be_written_to(path):
        raise PermissionError(errno.EACCES, "this directory cannot be written to", str(path))


def can_be_written_to(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
