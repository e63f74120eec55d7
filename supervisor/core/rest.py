"""Which files nobody writes to any more, as far as looking at them from time to time can tell.

A file is at rest when it has been seen unchanged for a while. A writer that pauses for longer than that is recognised
only where the file itself says that more should come, as a WAV does; which is why whoever takes a file compares its
stamp again when it is done with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .wav import WavError, WavReader


class Stamp(NamedTuple):
    """What changes when a file is written to, or another one takes its name."""

    inode: int
    size: int  # bytes
    modified: int  # nanoseconds, as the file system counts


class Resting:
    """What was seen of the files of one directory. One that vanishes is forgotten."""

    def __init__(self, rest: float) -> None:
        self._rest = rest  # seconds
        self._since: dict[str, tuple[Stamp, float]] = {}

    def look(self, now: float, seen: Mapping[str, Stamp]) -> list[str]:
        """The files that are at rest, those that were last written to longest ago first.

        >>> resting = Resting(2.0)
        >>> resting.look(0.0, {"a.wav": Stamp(1, 100, 5)}), resting.look(2.0, {"a.wav": Stamp(1, 100, 5)})
        ([], ['a.wav'])
        """
        self._since = {
            name: self._since[name] if self._since.get(name, (None, 0.0))[0] == stamp else (stamp, now)
            for name, stamp in seen.items()
        }
        found = [(stamp.modified, name) for name, (stamp, since) in self._since.items() if now - since >= self._rest]
        return [name for _, name in sorted(found)]


def announces_more(head: bytes, size: int) -> bool:
    """Whether a file that begins so and has so many bytes is a WAV whose header tells of more audio than it holds."""
    reader = WavReader()
    try:
        reader.feed(head)
    except WavError:
        return False
    return reader.missing > max(0, size - len(head))
