"""One picture of the live view, as lines that fit a window: pure, and the only place that decides what is left out.

A line is a list of (style, text); texts come from elsewhere and are never read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..sinks.text import clock
from ..terminal import columns, fitted
from .story import Ending, Story

Line = list[tuple[str, str]]  # (a rich style, text)

QUIET = 2.0  # seconds without an answer that are worth telling
NARROWEST, LOWEST = 30, 4  # a window with less gets one line
TITLE = "stream-supervisor demo"
PROMISE = ": connections die, words do not"
STATES = {
    "opening": ("yellow", "opening"),
    "listening": ("yellow", "waiting for audio"),
    "dialling": ("yellow", "dialling"),
    "streaming": ("green", "streaming"),
    "waiting": ("red", "down, will dial again"),
    "ended": ("cyan", "ended"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand now; seconds of audio."""

    status: str = "opening"
    heard: float = 0.0
    final: float = 0.0
    length: float = 0.0
    quiet: float = 0.0  # seconds since the server's last answer

    @property
    def behind(self) -> float:
        return max(0.0, self.heard - self.final)


def picture(story: Story, now: Standing, width: int, height: int) -> list[Line]:
    """At most `height` lines of at most `width` columns."""
    if width < NARROWEST or height < LOWEST:
        return [_cut([("", f"{_numbers(now)[0]}")], width)][:height]
    lines = [_cut(line, width) for line in _head(story, now, width)]
    room = height - len(lines)
    words = _wrapped(story.text, story.guess, width)
    if room <= 4:
        return lines + words[-room:] if room > 0 else lines[:height]
    # The words get what they need, but for the last ending or two.
    endings: list[Line] = []
    for each in reversed(story.endings):
        more = [_cut(line, width) for line in _ending(each, width)]
        if len(endings) + len(more) > max(room // 3, room - len(words) - 2):
            break
        endings[:0] = more
    if endings:
        endings.insert(0, [])
    return [*lines, [], *words[-(room - 1 - len(endings)) :], *endings]


def lasting(story: Story, width: int) -> list[str]:
    """What stays when the view has gone: the words, and how each connection ended."""
    words = _wrapped(story.text, "", width)
    endings = [line for each in story.endings for line in _ending(each, width)]
    return ["".join(text for _, text in line) for line in [*words, [], *endings]]


def _head(story: Story, now: Standing, width: int) -> list[Line]:
    colour, state = STATES.get(now.status, ("", now.status))
    if now.quiet >= QUIET and now.status == "streaming":
        colour, state = "red", f"streaming, no answer for {now.quiet:.0f} s"
    connection = f"  connection {story.sessions}" if story.sessions else ""
    heard, final, behind = _numbers(now)
    late = "red" if now.behind > 6 else "yellow" if now.behind > 3 else "green"
    return [
        [("bold", TITLE), ("dim", PROMISE)],
        [(f"bold {colour}", f"● {state}"), ("dim", connection)],
        [("cyan", heard), ("", "   "), ("green", final), ("", "   "), (late, behind)],
        _bar(now, width),
    ]


def _numbers(now: Standing) -> tuple[str, str, str]:
    return f"heard {now.heard:4.1f} s", f"final {now.final:4.1f} s", f"behind {now.behind:4.1f} s"


def _bar(now: Standing, width: int) -> Line:
    """What is final, what is heard, what is still to come."""
    room = min(width, 72)
    length = max(now.length, now.heard, 0.1)
    heard = round(room * now.heard / length)
    final = min(heard, round(room * now.final / length))
    return [("green", "━" * final), ("yellow", "╍" * (heard - final)), ("dim", "─" * (room - heard))]


def _wrapped(final: str, guess: str, width: int) -> list[Line]:
    """The transcript: final words, and then what is not final yet."""
    lines: list[Line] = [[]]
    taken = 0
    for style, text in (("", final), ("yellow italic", guess)):
        for word in text.split():
            word = fitted(word, width)
            size = columns(word)[-1] if word else 0
            if taken and taken + 1 + size > width:
                lines.append([])
                taken = 0
            if taken:
                lines[-1].append((style, " "))
                taken += 1
            lines[-1].append((style, word))
            taken += size
    return lines


def _ending(ending: Ending, width: int) -> list[Line]:
    """On one line if that is wide enough, else on two."""
    colour = {"retry": "yellow", "abort": "red"}.get(ending.verdict, "")
    what: Line = [("dim", f"{clock(ending.at)} "), ("", f"connection {ending.session} {ending.why}")]
    then: Line = [(f"bold {colour}", ending.verdict)]
    if ending.again is None:
        then.append(("", ending.then))
    else:
        then.append(("green", f", sends again from {clock(ending.again)}"))
    if _size([*what, *then]) + len(": ") <= width:
        return [[*what, ("", ": "), *then]]
    return [what, [("", "      "), *then]]


def _size(line: Line) -> int:
    return sum(columns(text)[-1] for _, text in line if text)


def _cut(line: Sequence[tuple[str, str]], width: int) -> Line:
    """As much of a line as fits."""
    kept: Line = []
    for style, text in line:
        fits = fitted(text, width)
        if fits:
            kept.append((style, fits))
            width -= _size([(style, fits)])
        if fits != text:
            break
    return kept
