"""Lines that repeat: which are let through, and how many were not.

Two limits hold, each over a window that begins with a line and ends `window` seconds later: a few of one kind that
concern the same thing (a call, an output), and more of one kind whatever they concern, so that one trouble of five hundred
calls is not five hundred lines. Nothing is left out in silence: each line that was is told once, with the next one that
is let through or, where none comes, by `due`.

    >>> repeats = Repeats(each=2)
    >>> [repeats.admit(("sink_stuck", "error"), (("sink", "a"),), now) for now in (0.0, 1.0, 2.0, 3.0, 10.0)]
    [0, 0, None, None, 2]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Kind = tuple[str, str]  # an event's name and its level
About = tuple[tuple[str, str], ...]  # the fields that say what a line concerns


class Left(NamedTuple):
    """Lines that were left out; `about` is None where they concern different things."""

    kind: Kind
    about: About | None
    lines: int


@dataclass(slots=True)
class _Window:
    began: float
    admitted: int = 0
    left: int = 0  # left out and not yet told, of the window before as well


class Repeats:
    """Decides on each line; `now` is seconds of any clock that does not go back."""

    def __init__(self, *, each: int = 5, together: int = 100, window: float = 10.0, most: int = 2000) -> None:
        self._each, self._together, self._window, self._most = each, together, window, most
        self._windows: dict[tuple[Kind, About | None], _Window] = {}  # the oldest first
        self._forced: list[Left] = []  # of windows that had to make room

    def admit(self, kind: Kind, about: About, now: float) -> int | None:
        """How many like it were left out before it, or None if it is left out too.

        The wider limit is looked at first: past it nothing is remembered of what the lines concern, so that what a
        stranger makes up takes no room.
        """
        wide = self._current(kind, None, now)
        if wide.admitted >= self._together:
            wide.left += 1
            return None
        narrow = self._current(kind, about, now)
        if narrow.admitted >= self._each:
            narrow.left += 1
            return None
        told = wide.left + narrow.left
        for window in (wide, narrow):
            window.admitted += 1
            window.left = 0
        return told

    def due(self, now: float) -> list[Left]:
        """What was left out in windows that have ended, and that no line has told; at infinity, all that was."""
        ended = [*self._forced]
        self._forced.clear()
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now - window.began < self._window:
                break
            ended += self._end(*key)
        return ended

    def wait(self, now: float) -> float | None:
        """Seconds until there is something due; None if there is nothing to wait for."""
        if self._forced:
            return 0.0
        began = next((window.began for window in self._windows.values() if window.left), None)
        return None if began is None else max(0.0, began + self._window - now)

    def _current(self, kind: Kind, about: About | None, now: float) -> _Window:
        window = self._windows.get((kind, about))
        if window and now - window.began < self._window:
            return window
        left = window.left if window else 0
        self._windows.pop((kind, about), None)
        if len(self._windows) >= self._most:
            self._forced += self._end(*next(iter(self._windows)))
        window = self._windows[kind, about] = _Window(now, left=left)
        return window

    def _end(self, kind: Kind, about: About | None) -> list[Left]:
        window = self._windows.pop((kind, about))
        lines, window.left = window.left, 0  # the line that it makes room for may be one of its own
        return [Left(kind, about, lines)] if lines else []
