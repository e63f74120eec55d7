"""What is known or guessed of how Deepgram's server behaves, as numbers; a plan may change any of them."""

from __future__ import annotations

from dataclasses import dataclass

from .bounds import check


@dataclass(frozen=True, slots=True)
class Habits:
    """Seconds, unless it says otherwise."""

    idle: float = 12.0  # without a binary or text frame, then NET-0001; pings do not count
    first_message: float = 20.0  # from opening without a message told, then NET-0000, or NET-0002 if no audio came
    no_audio: float = 0.0  # without audio though text arrives, then NET-0002; 0 = for ever
    undecodable: float = 12.0  # from the first audio that cannot be decoded to Metadata and the close
    undecodable_close: bool = True  # 1008 DATA-0000; false = a close frame without a code
    interim: float = 1.0  # of audio
    finals: tuple[float, float] = (3.0, 8.0)  # of audio, from one to the next
    empty_final: float = 3.6  # of silent audio
    pause: float = 0.3  # of audio: a shorter one is not noticed, whatever endpointing asks
    finalize_least: float = 0.1  # of audio: with less, Finalize has no answer
    latency: tuple[float, float] = (0.08, 0.6)  # from the audio to its message
    rate: float = 1.25  # times real time; what comes faster is told later, not refused
    burst: float = 1.5  # of audio, before that
    concurrency: int = 0  # connections at a time, then 429; 0 = any number
    lingering: float = 12.0  # that a connection still counts after it was dropped without a close
    wobble: bool = False  # words differ a little from session to session
    send: float = 30.0  # that a peer may leave unread, then its connection is reset
    hold: float = 300.0  # that a connection which a fault has silenced is kept

    def __post_init__(self) -> None:
        check(self, positive=("interim", "finals", "empty_final", "rate"))
        for name, (least, most) in (("latency", self.latency), ("finals", self.finals)):
            if least > most:
                raise ValueError(f"`{name}` is a lower and an upper bound")
