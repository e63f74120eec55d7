"""Keys that the server has refused: nobody dials with one until somebody has done something about it."""

from __future__ import annotations

from ..closure import Closure
from .seam import Party

AGAIN = 2.0  # seconds between two questions of a call that is held
REMIND = 60.0  # seconds between two complaints while calls are held
ROTATED = 2  # 401s in a row that refuse a key: it is read anew for each dial, so one may be of the key before

Scope = tuple[str, str | None]  # the key, and the model that alone is refused, or None for all


class Refused:
    """What is refused, since when it was last said, and why."""

    def __init__(self) -> None:
        self._held: dict[Scope, tuple[int, float]] = {}
        self._unauthorized: dict[str, int] = {}  # 401s in a row, by key
        self._good: dict[str, int] = {}  # the newest dial that opened, by key
        self._since = 0  # the first dial after all was cleared

    def works(self, party: Party, dial: int) -> list[Scope]:
        """A dial has opened, which is news of the key as it was then; returns what that frees."""
        self._good[party.key] = max(dial, self._good.get(party.key, 0))
        self._unauthorized.pop(party.key, None)
        freed: list[Scope] = [scope for scope in ((party.key, None), (party.key, party.model)) if scope in self._held]
        for scope in freed:
            del self._held[scope]
        return freed

    def report(self, party: Party, closure: Closure, now: float, dial: int) -> Scope | None:
        """A dial has failed; returns what is refused from now on, if that is news.

        One begun before a dial that opened, or before all was cleared, may have had the key before: it tells nothing.
        """
        scope: Scope = (party.key, party.model if closure.status == 403 else None)
        if dial < max(self._since, self._good.get(party.key, 0)):
            return None
        if closure.status == 401:
            count = self._unauthorized[party.key] = self._unauthorized.get(party.key, 0) + 1
            if count < ROTATED:
                return None
        elif closure.status not in (402, 403):
            return None
        if scope in self._held:
            return None
        self._held[scope] = closure.status, now
        return scope

    def status(self, party: Party) -> int | None:
        """The HTTP status that refuses this party's dials."""
        scope = self._scope(party)
        return self._held[scope][0] if scope else None

    def reminder(self, party: Party, now: float) -> bool:
        """Whether it is time to say again that calls wait for this one."""
        scope = self._scope(party)
        if scope is None or now - self._held[scope][1] < REMIND:
            return False
        self._held[scope] = self._held[scope][0], now
        return True

    def _scope(self, party: Party) -> Scope | None:
        scopes: tuple[Scope, ...] = ((party.key, None), (party.key, party.model))
        return next((scope for scope in scopes if scope in self._held), None)

    def clear(self, dial: int) -> list[Scope]:
        """All may be tried again, from that dial on; returns what was refused."""
        self._since = dial
        held = list(self._held)
        self._held.clear()
        self._unauthorized.clear()
        return held

    @property
    def scopes(self) -> list[Scope]:
        return list(self._held)
