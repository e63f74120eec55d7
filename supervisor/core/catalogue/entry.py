"""One way a session can end: what it means, what is done about it, and what a person should look at."""

from __future__ import annotations

from dataclasses import dataclass

from ..closure import Verdict
from ..problem import Exit


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one payload, close code, HTTP status or failure of our own side.

    `verdict` is RETRY or ABORT. COMPLETE is never in the table: it needs proof that only the call has.
    """

    key: str  # "NET-0001", "1006", "503", "4xx", "dns"; "1000-asked" is a 1000 that answers CloseStream
    title: str  # what it is called in a line of its own
    verdict: Verdict
    meaning: str
    action: str  # what stream-supervisor does
    checks: tuple[str, ...]  # for a person, in this order
    exit_code: Exit = Exit.GAVE_UP  # of a call that ends by it

    @property
    def overridable(self) -> bool:
        """Whether a config may change the verdict; the end that we asked for is proven, not configured."""
        return not self.key.endswith("-asked")


def table(*entries: Entry) -> dict[str, Entry]:
    """The entries by their keys."""
    return {entry.key: entry for entry in entries}
