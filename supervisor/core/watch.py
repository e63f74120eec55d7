"""Is this session still alive? Three questions, each with its deadline, asked at every tick.

The network: a ping that nothing has followed. The server: call audio goes out and no Results come, or they lag. The
finals: results come but none is final. A watch that itself wakes late knows nothing about the peer, so it starts its
timers again instead of judging.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .settings import SessionSettings

LATE = 1.0  # seconds between two looks that are more than a busy process
RESUME = 1.0  # seconds without call audio after which sending it is a new beginning
TELLING = 2.0  # seconds of audio about which a server has something to say, whatever it hears in them


@dataclass(slots=True)
class Watch:
    settings: SessionSettings
    opened: float
    _looked: float = field(init=False)
    _pinged: float = field(init=False)  # when the last ping went out
    _waiting: bool = False  # it has not been followed by anything yet
    _sending_since: float | None = None  # call audio has been going out without a pause since
    _audio_at: float = field(init=False)
    result_at: float | None = None
    _lag_from: float = 0.0  # audio sent when the timers were last started again
    _known: tuple[float | None, float | None] = (None, None)  # the beginning and the result that the last look saw
    _told_of: float = 0.0  # audio sent when the last result came
    _silence: float = 0.0  # of ours, since then: a server need not tell of it

    def __post_init__(self) -> None:
        self._looked = self._pinged = self._audio_at = self.opened

    def audio(self, now: float) -> None:
        """Call audio went out."""
        if self._sending_since is None or now - self._audio_at > RESUME:
            self._sending_since = now
        self._audio_at = now

    def silence(self, seconds: float) -> None:
        """So much of our own making went out."""
        self._silence += seconds

    def result(self, now: float) -> None:
        self.result_at, self._silence = now, 0.0

    def ping_due(self, now: float) -> bool:
        """True when it is time for a ping, which then counts as sent."""
        if self._waiting or now - self._pinged < self.settings.ping:
            return False
        self._pinged, self._waiting = now, True
        return True

    def look(self, now: float, received_at: float, sent: float, result_end: float, final_end: float) -> str:
        """Why the session is to be given up, or nothing.

        `received_at`: when the last bytes came from the peer. `sent`, `result_end`, `final_end`: seconds of audio on
        the session's clock.
        """
        late = now - self._looked > LATE
        self._looked = now
        if late:
            self._pinged, self._waiting = now, False
            self._sending_since, self._lag_from, self._silence = None, sent, 0.0
            return ""
        if (self._sending_since, self.result_at) != self._known:
            self._known, self._told_of = (self._sending_since, self.result_at), sent
        if self._waiting and received_at >= self._pinged:
            self._waiting = False
        if self._waiting and now - self._pinged >= self.settings.pong:
            return f"no answer to a ping within {self.settings.pong:g} s"
        if self._sending_since is None or now - self._audio_at > RESUME:
            return ""
        silent_since = max(self._sending_since, self.result_at or 0.0)
        if now - silent_since >= self.settings.results_timeout and sent - self._told_of >= TELLING:
            return f"no Results for {self.settings.results_timeout:g} s while audio was being sent"
        sent -= self._silence
        if sent - max(result_end, self._lag_from) >= self.settings.results_lag:
            return f"results are {self.settings.results_lag:g} s of audio behind"
        # A server that is never asked for a final may take its time with one.
        if self.settings.finalize_after and sent - max(final_end, self._lag_from) >= self.settings.finals_lag:
            return f"no final result for {self.settings.finals_lag:g} s of audio"
        return ""
