"""What an operator may ask of a running daemon, whoever carries the question: views of its calls, and a few changes."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

import msgspec


class CallView(msgspec.Struct, kw_only=True):
    """One call as it is now; nothing of what is said in it."""

    call_id: str
    intake: str  # that brought it; "config" for one that the config lists
    source: str
    state: str  # opening, listening, dialling, streaming, waiting, finishing
    paused: bool
    age: float  # seconds since it began
    heard: float  # seconds of audio
    acknowledged: float
    behind: float  # seconds heard and neither acknowledged nor lost nor withheld
    lost: float
    withheld: float
    sessions: int
    request_id: str  # of the session that is open, or was last
    held_bytes: int  # of audio in memory
    last_closure: str = ""  # how the session before ended, in a few words
    metadata: dict[str, str] = {}


class Health(msgspec.Struct, kw_only=True):
    """`ok`: the process does its work. `ready`: it takes new calls. Deepgram's state is neither's business."""

    ok: bool
    ready: bool
    reasons: list[str]  # why not, one line each
    calls: int
    version: str
    uptime: float  # seconds
    loop_lag: float  # seconds that the loop was late, the worst of the last ten
    notes: list[str] = []  # what an operator should know though all is well: a key refused, an endpoint that fails


class Control(Protocol):
    """The daemon, for whoever serves operators. Everything but `reload` is done when it returns."""

    def calls(self) -> Sequence[CallView]: ...

    def end(self, call_id: str) -> bool:
        """End the call's source: what it gave is still delivered. False: there is no such call."""
        ...

    def pause(self, call_id: str) -> bool:
        """From here on the call's audio is withheld: neither sent nor kept. Idempotent. False: there is no such call."""
        ...

    def resume(self, call_id: str) -> bool: ...

    def drain(self, *, now: bool = False) -> None:
        """As SIGTERM does (take no new calls, wait for those there are); `now`: as the second one, which ends the sources."""
        ...

    def reload(self) -> Awaitable[list[str]]:
        """Take up the config file anew, all of it or nothing. What is wrong with it, one line each; empty: done."""
        ...

    def health(self) -> Health: ...
