"""The events between a call and an output that may be slow.

Everything but an interim stays until it is written. An interim is only the latest guess: the next one of its segment
takes its place, the segment's final ends it, and when the outbox is full there is no room for it. When there are no
more interims to give way, the oldest events do, and whoever answers for the outputs is given them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol, TypeGuard

import trio

from supervisor.core.problem import Problem
from supervisor.events import CallEnded, Event, Transcript

ROOM = 10_000  # events: a minute or two of some hundred calls
BEHIND, CAUGHT_UP = 0.8, 0.5  # of the room: from where on somebody should know, and until it is no more than this
GIVES_WAY = 0.1  # of the room, at once: one trouble in a while rather than one for each event

Segment = tuple[str, int, int]  # call, channel, segment


class Outbox:
    """Events in order; `take` lends the oldest, and what is lent leaves with `written`."""

    def __init__(
        self, *, interims: bool = True, room: int = ROOM, behind: Callable[[bool], None] = lambda _: None
    ) -> None:
        self._interims = interims
        self.room = room  # events
        self._tell_behind = behind  # called when the backlog has become large, and when it no longer is
        self._behind = False
        self._waiting: dict[int, Event] = {}  # in order of arrival
        self._guesses: dict[Segment, int] = {}  # the waiting interim of each segment
        self._arrivals = 0
        self._lent: deque[Event] = deque()
        self._bell = trio.Event()
        self.closed = False

    def offer(self, event: Event) -> list[Event]:
        """Take it in; what had to make room for it."""
        if isinstance(event, Transcript):
            superseded = self._guesses.get(_segment(event))
            if superseded is not None:
                self._remove(superseded)
            if not event.is_final:
                if not self._interims or len(self) >= self.room:
                    return []
                self._guesses[_segment(event)] = self._arrivals
        gone = self._make_room() if len(self) >= self.room else []
        self._waiting[self._arrivals] = event
        self._arrivals += 1
        self._weigh()
        self.ring()
        return gone

    def _make_room(self) -> list[Event]:
        """What is lent may be half written, and stays."""
        if self._guesses:
            self._remove(next(iter(self._guesses.values())))
            return []
        return [self._remove(number) for number in list(islice(self._waiting, max(1, int(self.room * GIVES_WAY))))]

    def _remove(self, number: int) -> Event:
        event = self._waiting.pop(number)
        if is_guess(event):
            del self._guesses[_segment(event)]
        return event

    def take(self, most: int = 500) -> list[Event]:
        """The oldest events, which stay in the outbox until `written` says they are out."""
        while self._waiting and len(self._lent) < most:
            self._lent.append(self._remove(next(iter(self._waiting))))
        return list(self._lent)

    def written(self, count: int) -> None:
        for _ in range(count):
            self._lent.popleft()
        self._weigh()

    def withdraw(self, call_id: str) -> list[Event]:
        """The call's events, lent or not and no further than its end, which nobody is to write any more."""
        withdrawn: list[Event] = []

        def goes(event: Event) -> bool:
            over = bool(withdrawn) and isinstance(withdrawn[-1], CallEnded)
            if event.call_id != call_id or over:
                return False
            withdrawn.append(event)
            return True

        self._lent = deque([event for event in self._lent if not goes(event)])
        for number in [number for number, event in self._waiting.items() if goes(event)]:
            self._remove(number)
        self._weigh()
        return withdrawn

    def _weigh(self) -> None:
        if not self._behind and len(self) >= self.room * BEHIND:
            self._behind = True
            self._tell_behind(True)
        elif self._behind and len(self) <= self.room * CAUGHT_UP:
            self._behind = False
            self._tell_behind(False)

    def __len__(self) -> int:
        return len(self._lent) + len(self._waiting)

    def events(self) -> list[Event]:
        return [*self._lent, *self._waiting.values()]

    def close(self) -> None:
        self.closed = True
        self.ring()

    def ring(self) -> None:
        """Wakes whoever waits, although there may be nothing new."""
        self._bell.set()
        self._bell = trio.Event()

    async def wait(self) -> None:
        """Until something is offered, or the bell is rung."""
        await self._bell.wait()


def is_guess(event: Event) -> TypeGuard[Transcript]:
    """An interim: whoever gets none has missed nothing."""
    return isinstance(event, Transcript) and not event.is_final


def _segment(event: Transcript) -> Segment:
    return event.call_id, event.channel, event.segment


class Owner(Protocol):
    """Whoever answers for a sink, and is told what it cannot do."""

    def given_up(self, sink: Boxed, events: Sequence[Event]) -> None:
        """It will not write these: the oldest of a full outbox, what the output refuses, what a broken call has left."""

    def call_failed(self, sink: Boxed, call_id: str, problem: Problem) -> None:
        """It cannot write for this call; for the others it can."""

    def behind(self, sink: Boxed, behind: bool) -> None:
        """Its outbox fills up, or does so no more."""


class Boxed:
    """What all sinks with an outbox share (`sinks.Sink`); each adds the task that writes it out.

    Without an owner it keeps what it gives up.
    """

    def __init__(self, name: str, *, interims: bool, room: int = ROOM) -> None:
        self.name = name
        self.owner: Owner | None = None
        self._kept: list[Event] = []
        self._outbox = Outbox(interims=interims, room=room, behind=self._tell_behind)
        self._refused: set[str] = set()  # calls that it cannot write for

    def offer(self, event: Event) -> None:
        if event.call_id in self._refused:
            if isinstance(event, CallEnded):
                self._refused.discard(event.call_id)
            self._give_up([event])
        else:
            self._give_up(self._outbox.offer(event))

    def _give_up(self, events: Sequence[Event]) -> None:
        """These will not be written."""
        if events and self.owner:
            self.owner.given_up(self, events)
        else:
            self._kept += events

    def _refuse(self, call_id: str, problem: Problem) -> None:
        """Nothing more of this call will be written."""
        events = self._outbox.withdraw(call_id)
        if not (events and isinstance(events[-1], CallEnded)):
            self._refused.add(call_id)
        self._give_up(events)
        if self.owner:
            self.owner.call_failed(self, call_id, problem)

    def _tell_behind(self, behind: bool) -> None:
        if self.owner:
            self.owner.behind(self, behind)

    def close(self) -> None:
        self._outbox.close()

    @property
    def backlog(self) -> int:
        return len(self._outbox)

    def undelivered(self) -> list[Event]:
        return [*self._kept, *self._outbox.events()]
