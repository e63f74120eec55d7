"""What has happened so far, as the events tell it: the same story for the live view, for plain lines and for the end.

Texts are made fit for a terminal here, once, so that no view can forget it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.plain import plain
from ..events import CallEnded, Event, Gap, SessionClosed, SessionOpened, Transcript, Word
from ..sinks.text import clock, why
from ..terminal import shown


@dataclass(slots=True)
class Ending:
    """A connection that ended, what was made of it, and what its successor sends again."""

    session: int
    at: float  # seconds of the call heard by then, as far as is known
    why: str
    verdict: str
    then: str
    again: float | None = None  # where the next connection begins


class Story:
    def __init__(self) -> None:
        self.words: list[Word] = []  # final
        self.text = ""  # of them
        self.guess = ""  # what is not final yet
        self.endings: list[Ending] = []
        self.sessions = 0
        self.ended: CallEnded | None = None
        self._final = 0.0  # where the last final ended

    def told(self, event: Event) -> str:
        """Take in an event; a line about it, or nothing."""
        match event:
            case Transcript(is_final=True):
                return self._final_came(event)
            case Transcript():
                self.guess = shown(event.text).strip()
            case SessionOpened():
                return self._opened(event)
            case SessionClosed() if event.verdict != "complete":
                return self._closed(event)
            case Gap():
                return f"-- {event.end - event.start:.1f} s from {clock(event.start)} on will not be transcribed ({event.reason})"
            case CallEnded():
                self.ended = event
                self.guess = ""
            case _:
                pass
        return ""

    def _final_came(self, event: Transcript) -> str:
        self.words += event.words
        self.guess = ""
        self._final = event.end
        text = shown(event.text).strip()
        self.text = f"{self.text} {text}".strip()
        return f"{clock(event.start)}  {text}" if text else ""

    def _opened(self, event: SessionOpened) -> str:
        self.sessions = event.session
        if not self.endings:
            return f"-- connection {event.session} is open"
        for ending in reversed(self.endings):
            if ending.again is not None:
                break
            ending.again = event.replay_from
        return (
            f"-- connection {event.session} is open, and sends everything from {clock(event.replay_from)} on once more"
        )

    def _closed(self, event: SessionClosed) -> str:
        then = ""
        if event.retry_in is not None:
            then = f", next in {event.retry_in:.1f} s" if event.retry_in >= 0.05 else ", next at once"
        elif event.verdict == "retry":
            then = ", but it has been too long"
        ending = Ending(event.session, self._final + event.backlog, why(event, 50), plain(event.verdict, 20), then)
        self.endings.append(ending)
        after = f" after {event.uptime:.1f} s" if event.uptime else ""
        return (
            f"-- connection {ending.session} {ending.why}{after}: {ending.verdict}{ending.then}; "
            f"{event.backlog:.1f} s are not final"
        )

