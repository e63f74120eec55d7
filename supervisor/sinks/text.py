"""Transcripts for people: what was said and when, and where something is missing.

Words come from elsewhere, so nothing that a terminal would obey is left in them. Interims never become a line.
"""

from __future__ import annotations

from itertools import groupby

from supervisor.core.plain import plain
from supervisor.events import CallEnded, CallStarted, Event, Gap, SessionClosed, SessionOpened, Transcript
from supervisor.terminal import shown

DIM, YELLOW, RESET = "\x1b[2m", "\x1b[33m", "\x1b[0m"


def clock(seconds: float) -> str:
    """A position in a call.

    >>> clock(75.9), clock(3675)
    ('01:15', '1:01:15')
    """
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60:02}:{rest % 60:02}"


class TextLines:
    """Events as text. All that is remembered is what the channels of each call are called."""

    def __init__(self, *, colour: bool = False) -> None:
        self._colour = colour
        self._labels: dict[str, list[str]] = {}

    def line(self, event: Event) -> bytes:
        """A line with its newline; empty for an event that people need not see."""
        text = self._text(event)
        return f"{text}\n".encode() if text else b""

    def forget(self, call_id: str) -> None:
        self._labels.pop(call_id, None)

    def _text(self, event: Event) -> str:
        match event:
            case CallStarted():
                if len(event.channels) > 1:
                    labels = [channel.label or f"channel {channel.index}" for channel in event.channels]
                    self._labels[event.call_id] = labels
                audio = f"{event.encoding} {event.sample_rate} Hz"
                return self._in(DIM, f"{plain(event.call_id)}: {plain(event.source)} ({plain(audio)})")
            case Transcript(is_final=True):
                words = said(event)
                label = self._label(event.call_id, event.channel)
                return f"{self._in(DIM, clock(event.start))}  {label}{words}" if words else ""
            case Gap():
                label = "" if event.channel is None else self._label(event.call_id, event.channel)
                lost = f"{label}{event.end - event.start:.1f} s are not transcribed ({event.reason})"
                return f"{self._in(DIM, clock(event.start))}  {self._in(YELLOW, f'-- {lost}')}"
            case SessionOpened() if event.session > 1:
                return self._in(DIM, f"-- connected again, from {clock(event.replay_from)} on")
            case SessionClosed() if event.verdict != "complete":
                return self._in(YELLOW, f"-- {closed(event)}")
            case CallEnded():
                missing = event.audio.heard - event.audio.acknowledged
                rest = "all of it transcribed" if missing < 0.05 else f"{missing:.1f} s of it not transcribed"
                return self._in(DIM, f"{plain(event.call_id)}: {event.outcome}, {event.audio.heard:.1f} s heard, {rest}")
            case _:
                return ""

    def _label(self, call_id: str, channel: int) -> str:
        labels = self._labels.get(call_id, [])
        return f"[{plain(labels[channel])}] " if channel < len(labels) else ""

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{RESET}" if self._colour else text


def said(event: Transcript) -> str:
    """The words, with who said them where that is known."""
    if all(word.speaker is None for word in event.words):
        return shown(event.text).strip()
    turns = groupby(event.words, key=lambda word: word.speaker)
    return " ".join(
        ("" if speaker is None else f"({speaker}) ")
        + shown(" ".join(word.punctuated_word or word.word for word in words))
        for speaker, words in turns
    )


def closed(event: SessionClosed) -> str:
    """Why a session ended, and what follows."""
    after = f" after {event.uptime:.1f} s" if event.uptime else ""
    if event.retry_in is None:
        return f"the connection {why(event)}{after}: {plain(event.advice) or 'over'}"
    then = f"next try in {event.retry_in:.1f} s" if event.retry_in >= 0.05 else "next try at once"
    return f"the connection {why(event)}{after}: {then}; {event.backlog:.1f} s are not final"


def why(event: SessionClosed, longest: int = 160) -> str:
    """How a session ended, in a few words that follow its name."""
    if event.status is not None:
        return f"was refused with HTTP {event.status}"
    detail = plain(event.payload or event.reason, longest)
    what = "broke" if event.code == 1006 else "was given up" if event.uptime else "could not be opened"
    if event.code in (None, 1006):
        return f"{what} ({detail})" if detail else what
    return f"was closed with {event.code}" + (f" {detail}" if detail else "")
