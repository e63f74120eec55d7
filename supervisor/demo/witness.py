"""The emulator's own count, for audio that is not numbered: it knows the reading by heart, and finds in it what came.

So nothing is believed of what the client says about positions. A piece that the reading has twice, as it may within a
pause, is kept until it is long enough to be found once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..core.audio import AudioFormat
from ..emulator.engine import Ear, Engine, Heard
from ..emulator.numbered import Run, join
from ..emulator.proof import CallProof, Connection

PROBE = 64  # bytes that tell known audio from any other
SALT = 0  # of the reading, as if it were numbered


class Finder:
    """Reads whole sample frames, between any two of which the known audio may begin, end and jump; the rest is silence."""

    def __init__(self, known: bytes, frame_bytes: int) -> None:
        self.runs: list[Run] = []
        self._known = known
        self._size = frame_bytes
        self._held = b""  # not found yet
        self._at = 0  # of its first byte
        self._next: int | None = None  # where in the known audio the next byte should be

    def feed(self, data: bytes) -> None:
        self._held += data
        while self._held and self._step(ended=False):
            pass

    def finish(self) -> list[Run]:
        while self._held and self._step(ended=True):
            pass
        return self.runs

    def _step(self, *, ended: bool) -> bool:
        """Take some of what is held; False where more must come first."""
        if self._next is not None:
            alike = self._alike(self._held, self._known[self._next : self._next + len(self._held)])
            if alike:
                self._take(alike, salt=SALT, position=self._next)
                self._next += alike
            else:
                self._next = None
            return True
        if len(self._held) < PROBE and not ended:
            return False
        held, known = self._held, self._known
        lengths = {place: self._alike(held, known[place : place + len(held)]) for place in self._places()}
        if lengths:
            longest = max(lengths.values())
            best = [place for place, length in lengths.items() if length == longest]
            if len(best) > 1 and longest == len(held) and not ended:
                return False
            self._next = best[0]
            return True
        silent = self._whole(len(self._held) - len(self._held.lstrip(b"\0")))
        self._take(silent or min(PROBE, len(self._held)), silent=silent > 0)
        return True

    def _alike(self, one: bytes, other: bytes) -> int:
        if one == other:
            return len(one)
        pairs = enumerate(zip(one, other, strict=False))
        return self._whole(next((at for at, (mine, its) in pairs if mine != its), min(len(one), len(other))))

    def _whole(self, length: int) -> int:
        return length - length % self._size

    def _places(self) -> Iterator[int]:
        """Where what is held could begin."""
        probe = self._held[:PROBE]
        at = self._known.find(probe) if any(probe) else -1
        while at >= 0:
            if at % self._size == 0:
                yield at
            at = self._known.find(probe, at + 1)

    def _take(self, length: int, *, salt: int = -1, position: int = 0, silent: bool = False) -> None:
        join(self.runs, [Run(self._at, length, salt, position, silent)])
        self._held = self._held[length:]
        self._at += length


class Witness:
    """An engine that passes everything on to another, and remembers where in the known audio it was."""

    def __init__(self, engine: Engine, known: bytes) -> None:
        self.name = engine.name
        self._engine = engine
        self._known = known
        self._finders: list[tuple[list[Run], Finder]] = []

    def refuses(self, audio: AudioFormat) -> str:
        return self._engine.refuses(audio)

    def listen(self, audio: AudioFormat, runs: list[Run]) -> Ear:
        finder = Finder(self._known, audio.frame_bytes)
        self._finders.append((runs, finder))
        return _WitnessEar(self._engine.listen(audio, runs), finder)

    def testimony(self, connections: Sequence[Connection]) -> CallProof:
        """What the connections add up to, each with the positions that were found for its audio."""
        return CallProof([replace(each, runs=self._found(each)) for each in connections])

    def _found(self, connection: Connection) -> list[Run]:
        for runs, finder in self._finders:
            if runs is connection.runs:
                return finder.finish()
        return []


class _WitnessEar:
    def __init__(self, ear: Ear, finder: Finder) -> None:
        self._ear = ear
        self._finder = finder

    def feed(self, audio: bytes) -> None:
        self._finder.feed(audio)
        self._ear.feed(audio)

    def words(self, channel: int, upto: int) -> Sequence[Heard]:
        return self._ear.words(channel, upto)

    def speaking(self, channel: int, upto: int) -> int | None:
        return self._ear.speaking(channel, upto)

    def flush(self, channel: int, upto: int) -> None:
        self._ear.flush(channel, upto)

    def cut(self, channel: int, at: int) -> None:
        self._ear.cut(channel, at)
