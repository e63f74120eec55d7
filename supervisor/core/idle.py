"""What goes to a session whose caller is silent on the wire: one owner for KeepAlive, Finalize and silence.

A KeepAlive holds a session only once the server has said something (Deepgram, Troubleshooting WebSocket, NET and DATA
errors: "you must send at least one audio message"; its older wording, seen to be the exact one: "until at least one
message has been sent by Deepgram"). Until then, silence is sent in real time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

QUIET = 1.0  # seconds without audio that are a pause, not a source that delivers in gulps


class Idle(Enum):
    NOTHING = "nothing"
    SILENCE = "silence"  # in real time, from now on
    KEEPALIVE = "keepalive"
    FINALIZE = "finalize"


@dataclass(slots=True)
class IdleRule:
    """Decides, each time it is asked, what a session without call audio is to be sent.

    >>> rule = IdleRule(opened=0.0, keepalive=4.0, finalize_after=1.0)
    >>> rule.audio(0.0); rule.next(0.5, answered=False).name, rule.next(1.0, answered=False).name
    ('NOTHING', 'FINALIZE')
    >>> rule.text(1.0); rule.next(1.1, answered=False).name, rule.next(2.0, answered=True).name
    ('SILENCE', 'NOTHING')
    >>> rule.next(5.0, answered=True).name
    'KEEPALIVE'
    """

    opened: float
    keepalive: float
    finalize_after: float  # 0 = never
    silence: bool = False  # silence rather than KeepAlive, all the time
    _last_audio: float = field(init=False)
    _last_traffic: float = field(init=False)
    _finalized: bool = True  # nothing to finalize before there was audio

    def __post_init__(self) -> None:
        self._last_audio = self._last_traffic = self.opened

    def audio(self, now: float) -> None:
        """Call audio went out."""
        self._last_audio = self._last_traffic = now
        self._finalized = False

    def text(self, now: float) -> None:
        """A text message went out."""
        self._last_traffic = now

    def next(self, now: float, *, answered: bool) -> Idle:
        if self.finalize_after and not self._finalized and now - self._last_audio >= self.finalize_after:
            self._finalized = True
            return Idle.FINALIZE
        if (self.silence or not answered) and now - self._last_audio >= QUIET:
            return Idle.SILENCE
        if now - self._last_traffic >= self.keepalive:
            return Idle.KEEPALIVE
        return Idle.NOTHING
