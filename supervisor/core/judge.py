"""What a closure means for this call: the table's verdict, seen with what came before and what is left to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .catalogue import advice, classify, entry_of
from .closure import Closure, Verdict, payload_of
from .dialect import Dialect
from .problem import Exit

TAIL_ANY = 0.1  # seconds without a final that end a call whatever the closure
TAIL_ANSWERED = 0.5  # seconds that a clean answer to CloseStream acknowledges
CLEAN_ENDS = 3  # clean answers in a row that leave the same tail out: the server will not say more
IDENTICAL = 2  # times that the same failure is retried without progress between
UNDECODABLE = "DATA-0000"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A closure and what follows from it."""

    closure: Closure
    verdict: Verdict
    advice: str = ""
    exit_code: Exit = Exit.OK
    answered: bool = False  # COMPLETE because the server answered CloseStream: what is left is acknowledged
    skipped: bool = False  # COMPLETE though the server leaves the tail out, again and again: what is left is lost


class Judge:
    """One call's memory of its closures."""

    def __init__(self, dialect: Dialect, overrides: Mapping[str, str]) -> None:
        self._dialect = dialect
        self._overrides = overrides
        self._progressed = False  # ever
        self._undecodable: tuple[int | None, int] = (None, 0)  # the code, and how often in a row without progress
        self._clean_ends = 0  # likewise
        self._unauthorized = 0  # likewise

    def judge(self, closure: Closure, *, ended: bool, tail: float) -> Judgement:
        """`ended`: the source has said all. `tail`: seconds of audio not yet acknowledged."""
        if closure.progress:
            self._progressed = True
            self._undecodable, self._clean_ends = (None, 0), 0
        if closure.opened:
            self._unauthorized = 0
        if ended and tail <= TAIL_ANY:
            return Judgement(closure, Verdict.COMPLETE)
        if self._dialect.completes(closure) and not closure.undecoded:
            self._clean_ends += 1
            if tail <= TAIL_ANSWERED:
                return Judgement(closure, Verdict.COMPLETE, answered=True)
            if self._clean_ends >= CLEAN_ENDS:
                return Judgement(closure, Verdict.COMPLETE, skipped=True)
            return Judgement(closure, Verdict.RETRY, f"the server left out the last {tail:.2f} s: sending them again")
        if closure.undecoded and payload_of(closure.reason) != UNDECODABLE:
            said = f": {closure.reason}" if closure.reason else ""
            closure = replace(closure, reason=f"{UNDECODABLE} (Metadata told of no audio{said})")
        verdict = self._temper(closure, classify(closure, self._overrides))
        return Judgement(closure, verdict, advice(closure), entry_of(closure).exit_code)

    def _temper(self, closure: Closure, verdict: Verdict) -> Verdict:
        """What the table calls permanent may be worth another try, if the call has known better."""
        if payload_of(closure.reason) == UNDECODABLE:
            code, times = self._undecodable
            times = times + 1 if closure.code == code else 1
            self._undecodable = (closure.code, times)
            if UNDECODABLE not in self._overrides and self._progressed and times <= IDENTICAL:
                return Verdict.RETRY
        if closure.status == 401:
            self._unauthorized += 1
            if "401" not in self._overrides and self._unauthorized == 1:
                return Verdict.RETRY  # the key is read again for each attempt
        return verdict
