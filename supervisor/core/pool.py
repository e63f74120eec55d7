"""The memory that all calls' audio shares: when it is full, the longest backlog gives way first."""

from __future__ import annotations

from typing import Protocol


class Member(Protocol):
    @property
    def held(self) -> int:
        """Bytes of audio in memory."""
        ...

    @property
    def spare(self) -> int:
        """Bytes that it may have to lose for the others: what is not acknowledged, beyond what is its own.

        0 for who can wait; they ask for room (`full`) before they read.
        """
        ...

    def give_way(self, size: int) -> None:
        """Lose so many bytes of the oldest unacknowledged audio, and say so."""
        ...


class Pool:
    """`limit` in bytes; 0 = no limit."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.used = 0
        self._held: dict[int, tuple[Member, int]] = {}

    @property
    def full(self) -> bool:
        return bool(self.limit) and self.used >= self.limit

    def update(self, member: Member) -> None:
        """A member's audio has grown or shrunk. Over the limit, whoever is furthest behind loses its oldest."""
        self._note(member)
        stuck: set[int] = set()  # what they have is too little to matter, or cannot be given up
        while self.limit and self.used > self.limit:
            able = [each for each, _ in self._held.values() if each.spare and id(each) not in stuck]
            if not able:
                return
            longest, before = max(able, key=_spare), self.used
            longest.give_way(min(self.used - self.limit, longest.spare))
            self._note(longest)
            if self.used >= before:
                stuck.add(id(longest))

    def leave(self, member: Member) -> None:
        _, held = self._held.pop(id(member), (member, 0))
        self.used -= held

    def _note(self, member: Member) -> None:
        _, before = self._held.get(id(member), (member, 0))
        self._held[id(member)] = (member, member.held)
        self.used += member.held - before


def _spare(member: Member) -> int:
    return member.spare
