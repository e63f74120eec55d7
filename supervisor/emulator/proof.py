"""What really arrived and what was really told: the emulator's own count, against which a client's is held.

Nothing here trusts the client: the positions are read from the audio. They are sample frames of the call.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..core.audio import SILENCE, AudioFormat
from .numbered import Reader, Run, join

Spans = list[tuple[int, int]]


def covered(spans: Iterable[tuple[int, int]], times: int = 1) -> Spans:
    """Where at least so many of the spans lie.

    >>> covered([(0, 10), (5, 15), (20, 30)]), covered([(0, 10), (5, 15), (20, 30)], times=2)
    ([(0, 15), (20, 30)], [(5, 10)])
    """
    edges = sorted(((place, change) for span in spans for place, change in zip(span, (1, -1), strict=True)), key=_place)
    found: Spans = []
    depth, start = 0, 0
    for place, change in edges:
        before, depth = depth, depth + change
        if before < times <= depth:
            start = place
        elif depth < times <= before and place > start:
            if found and found[-1][1] == start:
                start = found.pop()[0]
            found.append((start, place))
    return found


def _place(edge: tuple[int, int]) -> int:
    return edge[0]


def missing(spans: Spans, upto: int) -> Spans:
    """What disjoint sorted spans leave open before a position.

    >>> missing([(2, 5), (7, 9)], 12)
    [(0, 2), (5, 7), (9, 12)]
    """
    found, at = [], 0
    for start, end in [*spans, (upto, upto)]:
        if start > at and at < upto:
            found.append((at, min(start, upto)))
        at = max(at, end)
    return found


def total(spans: Iterable[tuple[int, int]]) -> int:
    return sum(end - start for start, end in spans)


def excess(times: Sequence[float], seconds: Sequence[float], rate: float = 1.25, burst: float = 0.25) -> float:
    """By how much audio the worst window of T >= 1 s was above rate * T + burst; at most 0 if none was.

    `times` are when audio arrived, ascending; `seconds` how much each time. A window has both its ends: of two
    messages a second apart, both are in it.

    >>> excess([0.0, 1.0, 2.0], [1.5, 0.0, 1.25]), excess([0.0, 0.5], [1.0, 1.0])
    (0.0, 0.5)
    """
    worst = -rate - burst
    sums = [0.0]
    for each in seconds:
        sums.append(sums[-1] + each)
    first, best = 0, float("inf")  # best: the least of sum before - rate * time, over windows of a second or more
    for last, now in enumerate(times):
        while times[first] < now - 1:
            best = min(best, sums[first] - rate * times[first])
            first += 1
        worst = max(worst, sums[last + 1] - sums[first] - rate - burst, sums[last + 1] - rate * now - best - burst)
    return worst


@dataclass(slots=True, eq=False)
class Connection:
    """Everything that came and went on one connection."""

    number: int  # counted from 0, over all calls
    opened: float  # when its first byte was waited for, on trio's clock
    call: str = ""  # the header x-deepgram-session-id
    target: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Sequence[tuple[str, str]] = ()
    request_id: str = ""
    status: int | None = None  # of the answer to the handshake; 101 = accepted
    answered: float | None = None  # when
    closed: float | None = None  # when all was over
    close_sent: tuple[int, str] | None = None  # the server's Close frame
    close_received: tuple[int, str] | None = None
    end: str = ""  # how it ended: "close", "eof", "reset", "fault", ...
    faults: list[str] = field(default_factory=list)  # those that happened
    audio: AudioFormat | None = None
    runs: list[Run] = field(default_factory=list)
    times: array[float] = field(default_factory=lambda: array("d"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    size: int = 0  # bytes of audio
    zero_length: int = 0
    texts: list[tuple[float, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)  # text messages by type
    pings: int = 0
    finals: list[tuple[int, int, int]] = field(default_factory=list)  # channel, start, end on its own clock
    told: int = 0  # messages
    metadata: bool = False
    _reader: Reader | None = None

    def hears(self, audio: AudioFormat) -> None:
        self.audio = audio
        self._reader = Reader(SILENCE[audio.encoding][0])

    def arrived(self, data: bytes, now: float) -> None:
        """Count a binary message, of which header bytes of a container are no part."""
        self.times.append(now)
        self.sizes.append(len(data))
        self.size += len(data)
        if self._reader:
            join(self.runs, self._reader.feed(data))

    def ended(self, now: float) -> None:
        self.closed = now
        if self._reader:
            join(self.runs, self._reader.finish())

    @property
    def frames(self) -> int:
        return self.size // self.audio.frame_bytes if self.audio else 0

    @property
    def seconds(self) -> float:
        return self.audio.seconds(self.frames) if self.audio else 0.0

    @property
    def excess(self) -> float:
        """See the function: how far this connection's audio outran the pacing bound."""
        if self.audio is None:
            return -1.5
        second = self.audio.frame_bytes * self.audio.sample_rate
        return excess(self.times, [size / second for size in self.sizes])

    @property
    def received(self) -> Spans:
        """The pieces of the call that came, in the order in which they came."""
        size = self.audio.frame_bytes if self.audio else 1
        return [
            (run.position // size, (run.position + run.length) // size) for run in self.runs if run.numbered
        ]

    @property
    def misaligned(self) -> bool:
        """Some piece begins or ends within a sample frame, or lies across the frames of the connection."""
        size = self.audio.frame_bytes if self.audio else 1
        return any((run.position - run.at) % size or run.at % size for run in self.runs if run.numbered)

    def made_final(self, channel: int = 0) -> Spans:
        """The pieces of the call that this connection made final, in the order in which they were told."""
        found: Spans = []
        size = self.audio.frame_bytes if self.audio else 1
        for told, start, end in self.finals:
            if told == channel:
                for run in self.runs[self._run_at(start * size) :]:
                    first, last = max(start * size, run.at), min(end * size, run.at + run.length)
                    if run.at >= end * size:
                        break
                    if run.numbered and first < last:
                        shift = run.position - run.at
                        found.append(((first + shift) // size, (last + shift) // size))
        return found

    def _run_at(self, byte: int) -> int:
        return max(0, bisect_left(self.runs, byte + 1, key=lambda run: run.at) - 1)

    @property
    def foreign(self) -> bool:
        """There was audio, not all of it silence, and none of it numbered."""
        return not any(run.numbered for run in self.runs) and any(not run.silent for run in self.runs)

    def other(self, silent: bool) -> int:
        """The sample frames that were not numbered: silence, or anything else."""
        size = self.audio.frame_bytes if self.audio else 1
        return sum(run.length for run in self.runs if not run.numbered and run.silent == silent) // size


class CallProof:
    """What all the connections of one call add up to."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self.connections = connections

    @property
    def salts(self) -> list[int]:
        """Whose audio came: more than one if calls were mixed up."""
        return sorted({run.salt for each in self.connections for run in each.runs if run.numbered})

    @property
    def received(self) -> Spans:
        """What came at least once."""
        return covered(span for each in self.connections for span in each.received)

    @property
    def received_twice(self) -> Spans:
        return covered([span for each in self.connections for span in each.received], times=2)

    @property
    def received_frames(self) -> int:
        """Everything that came, what came twice counted twice."""
        return sum(total(each.received) for each in self.connections)

    @property
    def silent_frames(self) -> int:
        return sum(each.other(silent=True) for each in self.connections)

    @property
    def foreign_frames(self) -> int:
        """What was neither numbered nor silence: none of it should be there."""
        return sum(each.other(silent=False) for each in self.connections)

    @property
    def out_of_order(self) -> list[tuple[int, int, int]]:
        """Steps back within a connection: its number, where it was, where it went."""
        return [step for step in self._jumps() if step[2] < step[1]]

    @property
    def skipped(self) -> list[tuple[int, int, int]]:
        """Steps forward within a connection: audio that was left out."""
        return [step for step in self._jumps() if step[2] > step[1]]

    def _jumps(self) -> list[tuple[int, int, int]]:
        return [
            (each.number, before[1], after[0])
            for each in self.connections
            for before, after in zip(each.received, each.received[1:], strict=False)
            if before[1] != after[0]
        ]

    def final(self, channel: int = 0) -> Spans:
        """What was made final at least once."""
        return covered(span for each in self.connections for span in each.made_final(channel))

    def final_twice(self, channel: int = 0) -> Spans:
        return covered([span for each in self.connections for span in each.made_final(channel)], times=2)

    def not_final(self, upto: int, channel: int = 0) -> Spans:
        """What of the call's first frames was never made final."""
        return missing(self.final(channel), upto)

    @property
    def zero_length(self) -> int:
        return sum(each.zero_length for each in self.connections)

    @property
    def kinds(self) -> Counter[str]:
        """The text messages by their type."""
        return sum((each.kinds for each in self.connections), Counter())

    @property
    def excess(self) -> float:
        """The worst connection's."""
        return max((each.excess for each in self.connections), default=-1.5)


class Proof:
    """All the connections an emulator had, in the order in which they were dialled."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []

    @property
    def calls(self) -> list[str]:
        """The names of the calls, in the order in which they came."""
        return list(dict.fromkeys(self._name(each) for each in self.connections))

    def call(self, name: str | None = None) -> CallProof:
        """One call; without a name all connections, as if they were one."""
        return CallProof([each for each in self.connections if name is None or self._name(each) == name])

    def _name(self, connection: Connection) -> str:
        """A client that names no call is known by the salt of its audio."""
        return connection.call or next((f"salt:{run.salt}" for run in connection.runs if run.numbered), "")

    def peak(self, name: str | None = None) -> int:
        """The most connections that were open at a time."""
        edges = []
        for each in self.call(name).connections:
            if each.status == 101 and each.answered is not None:
                edges.append((each.answered, 1))
                edges.append((float("inf") if each.closed is None else each.closed, -1))
        most = now = 0
        for _, change in sorted(edges):
            now += change
            most = max(most, now)
        return most
