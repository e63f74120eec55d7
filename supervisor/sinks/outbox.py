"""The events between a call and an output that may be slow.

Everything but an interim stays until it is written. An interim is only the latest guess: the next one of its segment
takes its place, the segment's final ends it, and when the outbox is full there is no room for it.
"""

from __future__ import annotations

from collections import deque

import trio

from supervisor.events import Event, Transcript

Segment = tuple[str, int, int]  # call, channel, segment


class Outbox:
    """Events in order; `take` lends the oldest, and what is lent leaves with `written`."""

    def __init__(self, *, interims: bool = True, room: int = 10_000) -> None:
        self._interims = interims
        self._room = room  # events waiting, beyond which interims are given up
        self._waiting: dict[int, Event] = {}  # in order of arrival
        self._guesses: dict[Segment, int] = {}  # the waiting interim of each segment
        self._arrivals = 0
        self._lent: deque[Event] = deque()
        self._bell = trio.Event()
        self.closed = False

    def offer(self, event: Event) -> None:
        if isinstance(event, Transcript):
            segment = (event.call_id, event.channel, event.segment)
            superseded = self._guesses.pop(segment, None)
            if superseded is not None:
                del self._waiting[superseded]
            if not event.is_final:
                if not self._interims or len(self) >= self._room:
                    return
                self._guesses[segment] = self._arrivals
        self._waiting[self._arrivals] = event
        self._arrivals += 1
        self.ring()

    def take(self, most: int = 500) -> list[Event]:
        """The oldest events, which stay in the outbox until `written` says they are out."""
        while self._waiting and len(self._lent) < most:
            event = self._waiting.pop(next(iter(self._waiting)))
            if isinstance(event, Transcript) and not event.is_final:
                del self._guesses[event.call_id, event.channel, event.segment]
            self._lent.append(event)
        return list(self._lent)

    def written(self, count: int) -> None:
        for _ in range(count):
            self._lent.popleft()

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


class Boxed:
    """What all sinks with an outbox share (`sinks.Sink`); each adds the task that writes it out."""

    def __init__(self, name: str, *, interims: bool) -> None:
        self.name = name  # in logs and metrics
        self._outbox = Outbox(interims=interims)

    def offer(self, event: Event) -> None:
        self._outbox.offer(event)

    def close(self) -> None:
        self._outbox.close()

    @property
    def backlog(self) -> int:
        return len(self._outbox)

    def undelivered(self) -> list[Event]:
        return self._outbox.events()
