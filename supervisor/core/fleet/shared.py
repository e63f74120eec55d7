"""All policies over many calls, asked in turn: who is held, who waits, who dials.

A refused key, a server that has asked for rest and an endpoint that does not answer hold everybody they concern. Whoever
is left waits in one queue for each key, for the key's sessions, for a token of the bucket and for a free place among
the dials. Nothing here grows with the calls there have ever been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..closure import Closure
from ..settings import FleetSettings
from .breaker import Breaker, State, failed
from .governor import Governor
from .notice import Notice
from .queue import Queue
from .refused import AGAIN, Refused, Scope
from .seam import Party

SHORTEST, LONGEST = 0.05, 1.0  # seconds between two questions of a call that waits
CROWDED = 0.2  # the shortest, where it is not known when a dial will be over


@dataclass(slots=True)
class _Bucket:
    """Tokens come at a rate and pile up to a burst."""

    rate: float
    burst: float
    tokens: float
    at: float = 0.0

    def look(self, now: float) -> float:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        return self.tokens


class _Key:
    """What calls with one key share."""

    def __init__(self, settings: FleetSettings) -> None:
        self.queue = Queue()
        self.governor = Governor(settings.raise_every, settings.linger)
        self.dialling = 0
        self.opened = 0


class SharedFleet:
    """`tell` gets each change that somebody should know of; it may not call back."""

    def __init__(
        self, settings: FleetSettings | None = None, tell: Callable[[Notice], None] = lambda _: None, *, obeyed: float = 60.0
    ) -> None:
        self._settings = settings or FleetSettings()
        self._tell = tell
        self._obeyed = obeyed  # seconds at most of a Retry-After
        self._bucket = _Bucket(self._settings.rate, self._settings.burst, self._settings.burst)
        self._keys: dict[str, _Key] = {}
        self._breakers: dict[str, Breaker] = {}
        self._rest: dict[str, float] = {}  # until when an endpoint has asked to be left alone
        self._cut_off: dict[str, float] = {}  # when a running call was last kept from an endpoint
        self._refused = Refused()
        self._asking: dict[str, Party] = {}  # calls that wait
        self._dialling: dict[str, tuple[Party, int]] = {}  # each dial has a number, in the order they began
        self._begun = 0
        self._opened: dict[str, Party] = {}
        self.epoch = 0

    # What calls say

    def lease(self, call_id: str, party: Party, now: float, *, running: bool) -> float:
        self._asking[call_id] = party
        if held := self._held(party, now, running=running):
            self._key(party).queue.leave(call_id)
            return held
        key, bucket = self._key(party), self._bucket
        rank = key.queue.rank(call_id, running=running, now=now)
        sessions = key.governor.free(key.dialling + key.opened, now)
        tokens, places = bucket.look(now), self._settings.dials - len(self._dialling)
        if rank < min(sessions, int(tokens), places):
            key.queue.leave(call_id)
            del self._asking[call_id]
            self._begun += 1
            self._dialling[call_id] = party, self._begun
            key.dialling += 1
            bucket.tokens -= 1
            self._breaker(party).begun(call_id, now)
            return 0.0
        waits = [(rank + 1 - tokens) / bucket.rate]
        if rank >= sessions:
            waits.append(key.governor.wait(now))
        wait = min(max(*waits, CROWDED if rank >= places else SHORTEST), LONGEST)
        key.queue.expect(call_id, now + wait)
        return wait

    def _held(self, party: Party, now: float, *, running: bool) -> float:
        """Seconds for which it is no use to wait in line."""
        if self._refused.status(party):
            if self._refused.reminder(party, now):
                self._say_refused(party)
            return AGAIN
        if (wait := self._rest.get(party.endpoint, 0.0) - now) > 0:
            return wait
        breaker = self._breaker(party)
        if (wait := breaker.wait(now)) > 0:
            if running:
                self._cut_off[party.endpoint] = now
            return min(max(wait, SHORTEST), LONGEST)
        if breaker.state != "closed" and not running and now - self._cut_off.get(party.endpoint, -LONGEST) < 2 * LONGEST:
            return CROWDED  # the one that may try is one who was cut off
        return 0.0

    def opened(self, call_id: str, now: float) -> None:
        party, dial = self._dialling.pop(call_id)
        key = self._key(party)
        key.dialling -= 1
        key.opened += 1
        key.governor.has(key.opened)
        self._opened[call_id] = party
        self._dialled(call_id, party, Closure(opened=True), now)
        self._free(self._refused.works(party, dial))

    def report(self, call_id: str, closure: Closure, now: float) -> None:
        dial = self._dialling[call_id][1] if call_id in self._dialling else 0
        party = self._end(call_id, now, broke=closure.opened and closure.code in (None, 1006))
        if party is None:
            return
        if not closure.opened:
            self._dialled(call_id, party, closure, now)
            if self._refused.report(party, closure, now, dial):
                self._say_refused(party)
        if closure.status is not None and closure.retry_after:
            self._rested(party, min(closure.retry_after, self._obeyed), now)
        if closure.status == 429:
            key = self._key(party)
            key.governor.limited(key.opened + key.governor.lingering(now), now)  # as the server counts them
            self._say("governor_limited", "warning", key=party.key, sessions=key.governor.limit)
        elif closure.opened:
            self._lift(now)

    def leave(self, call_id: str, now: float) -> None:
        party = self._asking.pop(call_id, None)
        if party is not None:
            self._key(party).queue.leave(call_id)
        if (dialled := self._dialling.get(call_id)) is not None:
            self._breaker(dialled[0]).ended(call_id, None, now)
        self._end(call_id, now, broke=True)
        self._lift(now)

    def restart(self, now: float) -> None:
        del now
        self._free(self._refused.clear(self._begun + 1))
        for endpoint in self._breakers.keys() - {party.endpoint for party in self._parties()}:
            del self._breakers[endpoint]  # nobody would ever close it
            self._cut_off.pop(endpoint, None)
        self.epoch += 1

    def _parties(self) -> Iterator[Party]:
        """Of the calls there are, as far as they have to do with a dial now."""
        yield from self._asking.values()
        yield from (party for party, _ in self._dialling.values())
        yield from self._opened.values()

    def _free(self, scopes: list[Scope]) -> None:
        for key, model in scopes:
            self._say("key_free", "info", key=key, **({"model": model} if model is not None else {}))

    # What becomes of it

    def _end(self, call_id: str, now: float, *, broke: bool) -> Party | None:
        """What the call held is free again."""
        party: Party | None
        if (dialled := self._dialling.pop(call_id, None)) is not None:
            party = dialled[0]
            self._key(party).dialling -= 1
        elif (party := self._opened.pop(call_id, None)) is not None:
            key = self._key(party)
            key.opened -= 1
            if broke:
                key.governor.broke(now)
        return party

    def _lift(self, now: float) -> None:
        """A limit that nobody comes near any more is forgotten."""
        for name, key in self._keys.items():
            if key.governor.lift(key.opened + key.dialling + len(key.queue) + key.governor.lingering(now)):
                self._say("governor_lifted", "info", key=name)

    def _dialled(self, call_id: str, party: Party, closure: Closure, now: float) -> None:
        breaker = self._breaker(party)
        if breaker.ended(call_id, failed(closure), now):
            if breaker.state == "closed":
                self.epoch += 1
                self._say("breaker_closed", "info", endpoint=party.endpoint)
            else:
                why = f"HTTP {closure.status}" if closure.status is not None else closure.reason
                self._say("breaker_opened", "error", endpoint=party.endpoint, failures=self._settings.failures, reason=why)

    def _rested(self, party: Party, seconds: float, now: float) -> None:
        if now + seconds > self._rest.get(party.endpoint, 0.0):
            self._rest[party.endpoint] = now + seconds
            self._say("server_asked_for_rest", "warning", endpoint=party.endpoint, seconds=round(seconds, 1))

    def _say_refused(self, party: Party) -> None:
        status = self._refused.status(party)
        only = {"model": party.model} if status == 403 else {}
        hint = "give it a key that works, then reload; calls wait, and keep what they hear"
        self._say("key_refused", "error", key=party.key, status=status, calls_waiting=len(self._asking), hint=hint, **only)

    def _say(self, event: str, level: str, **details: object) -> None:
        self._tell(Notice(event, level, details))  # type: ignore[arg-type]  # by the words above

    # What gauges show

    @property
    def dials(self) -> int:
        """Dials in flight."""
        return len(self._dialling)

    @property
    def waiting(self) -> int:
        return len(self._asking)

    @property
    def refused(self) -> list[tuple[str, str | None]]:
        """Keys that are refused, each with the model that alone is, or None for all."""
        return self._refused.scopes

    def breakers(self) -> dict[str, State]:
        return {endpoint: breaker.state for endpoint, breaker in self._breakers.items()}

    def limits(self) -> dict[str, int | None]:
        """Sessions that each key may have, as far as a server has told."""
        return {name: key.governor.limit for name, key in self._keys.items()}

    def _key(self, party: Party) -> _Key:
        if party.key not in self._keys:
            self._keys[party.key] = _Key(self._settings)
        return self._keys[party.key]

    def _breaker(self, party: Party) -> Breaker:
        if party.endpoint not in self._breakers:
            self._breakers[party.endpoint] = Breaker(self._settings.failures, self._settings.probe)
        return self._breakers[party.endpoint]
