"""The memory that all calls' audio shares: when it is full, the longest backlog gives way first."""

from __future__ import annotations

from typing import Protocol


class Member(Protocol):
    @property
    def held(self) -> int:
        """Bytes of audio in memory."""
        ...

    @property
    def backlog(self) -> int:
        """Bytes of them not yet acknowledged."""
        ...

    @property
    def live(self) -> bool:
        """It cannot wait, and so may have to lose audio; who can wait asks for room (`full`) first."""
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
        """A member's audio has grown or shrunk. Over the limit, the live one furthest behind loses its oldest."""
        self._note(member)
        while self.limit and self.used > self.limit:
            longest = max((each for each, _ in self._held.values() if each.live), key=_backlog, default=None)
            if longest is None:
                return
            before = self.used
            longest.give_way(self.used - self.limit)
            self._note(longest)
            if self.used >= before:  # what is left is too little to matter, or cannot be given up
                return

    def leave(self, member: Member) -> None:
        _, held = self._held.pop(id(member), (member, 0))
        self.used -= held

    def _note(self, member: Member) -> None:
        _, before = self._held.get(id(member), (member, 0))
        self._held[id(member)] = (member, member.held)
        self.used += member.held - before


def _backlog(member: Member) -> int:
    return member.backlog
