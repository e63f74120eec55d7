"""What goes wrong while the demo's words are spoken: each time in a pause, when words are heard and not yet final.

That is the hardest moment. What was said last is on the server's side of a connection that dies, and nobody has been
told it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..emulator.conversation import NET_0000
from ..emulator.faults import Close, Fault, Refuse, Reset, StopAnswering, Stream
from ..emulator.habits import Habits
from ..emulator.plan import Plan

INTO = 0.25  # seconds of a pause before something goes wrong in it
AWAY = 2.0  # seconds that the server asks us to stay away
HABITS = Habits(interim=0.5, finals=(2.5, 4.5))  # livelier than a server, so that there is something to see


@dataclass(frozen=True)
class AtPauses(Plan):
    """A plan whose `audio` is seconds of the call. Only who knows where a connection begins to replay can have one."""

    begins: Callable[[], float] = lambda: 0.0  # where in the call the connection's audio begins, asked as it opens

    def faults(self, number: int) -> tuple[Fault, ...]:
        return tuple(
            replace(fault, audio=max(0.0, fault.audio - self.begins()))
            if isinstance(fault, Stream) and fault.audio is not None
            else fault
            for fault in super().faults(number)
        )


def mishaps(pauses: Sequence[tuple[float, float]]) -> list[Fault]:
    """The faults of one connection after another, for the first three pauses."""
    first, second, third = (round(start + INTO, 3) for start, _ in pauses[:3])
    return [
        Close(audio=first, code=1011, reason=NET_0000),
        Reset(audio=second),
        Refuse(status=503, retry_after=AWAY),
        StopAnswering(audio=third),
    ]


def scenario(connections: Sequence[Fault], begins: Callable[[], float]) -> AtPauses:
    return AtPauses(connections, habits=HABITS, begins=begins)
