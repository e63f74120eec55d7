"""Whole calls in simulated time: memory wires, the emulator, the jumping clock, and one seed behind every choice.

The code between a source and an event is the product's own, to the byte; only the socket below it is memory. A run is
the same in every process, which takes more than a seed: trio shuffles the tasks of each batch, unless told otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import trio
from trio._core import _run
from trio.testing import MockClock

from supervisor.call import Call, Result, Spec, World
from supervisor.core.audio import AudioFormat
from supervisor.core.fleet import Fleet, OpenFleet
from supervisor.core.pool import Pool
from supervisor.core.settings import Settings
from supervisor.credential import Credential
from supervisor.emulator.engine import Engine
from supervisor.emulator.numbered import numbered
from supervisor.emulator.plan import Plan
from supervisor.emulator.proof import CallProof
from supervisor.emulator.server import Emulator
from supervisor.emulator.speech import Speech, Spoken
from supervisor.events import CallEnded, Event, Gap, SessionClosed, SessionOpened, Transcript, Word
from supervisor.grid import Grid
from supervisor.logs import build
from supervisor.service import Deepgram
from supervisor.sources import Source, Speaker

PHONE = AudioFormat("mulaw", 8000)
WIDE = AudioFormat("linear16", 16000)
STEREO = AudioFormat("mulaw", 8000, 2)
SALT = 7
T = TypeVar("T")


@contextmanager
def one_order(seed: int) -> Iterator[None]:
    """trio's choice of which task runs first, decided by a seed rather than by chance."""
    allowed, state = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True
    _run._r.seed(seed)
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = allowed
        _run._r.setstate(state)


def simulate(main: Callable[[], Awaitable[T]], *, seed: int = 0, rate: float = 0.0) -> T:
    """Run in simulated time."""
    with one_order(seed):
        return trio.run(main, clock=MockClock(rate=rate, autojump_threshold=0))


@dataclass
class Room:
    """One process, without a machine: an emulator, a grid, and the calls that are started in it."""

    nursery: trio.Nursery
    emulator: Emulator
    world: World
    events: list[Event]
    deepgram: Deepgram
    dialled: list[float] = field(default_factory=list)

    def spec(self, call_id: str = "call", source: Source | None = None, **more: Any) -> Spec:
        options = {"smart_format": "true", **more.pop("options", {})}
        return Spec(call_id, source or speaker(), self.deepgram.offer(options), **more)

    async def call(self, spec: Spec, phase: int = 0) -> Result:
        return await Call(spec, self.world, phase).run()


class Routed(Deepgram):
    """Deepgram's service, dialling into memory."""

    def __init__(self, room_dial: Callable[[], Any], **more: Any) -> None:
        super().__init__("ws://127.0.0.1:1/v1/listen", environ={}, **more)
        self._dial = room_dial


async def in_room(
    body: Callable[[Room], Awaitable[T]],
    plan: Plan | None = None,
    *,
    seed: int = 0,
    engine: Engine | None = None,
    api_key: str | None = None,
    credential: Credential | None = None,
    settings: Settings | None = None,
    fleet: Fleet | None = None,
    pool: Pool | None = None,
    capacity: int = 262144,
    latency: float = 0.02,
) -> T:
    events: list[Event] = []
    chance = random.Random(seed)
    emulator = Emulator(plan, engine=engine, seed=seed, api_key=api_key)
    async with trio.open_nursery() as nursery:
        grid = Grid()
        nursery.start_soon(grid.run, name="grid")
        dial = emulator.dial_in(nursery, capacity=capacity, latency=latency)
        world = World(
            grid,
            events.append,
            lambda: f"{trio.current_time():.3f}",
            chance,
            build({}, level="critical", fd=None),
            fleet=fleet or OpenFleet(),
            pool=pool or Pool(),
        )
        deepgram = Routed(
            dial,
            credential=credential,
            settings=(settings or Settings()).session,
            entropy=random.Random(seed + 1).randbytes,
        )
        result = await body(Room(nursery, emulator, world, events, deepgram))
        nursery.cancel_scope.cancel("the body is done")
    return result


def speaker(
    seconds: float = 30.0, audio: AudioFormat = PHONE, *, live: bool = True, salt: int = SALT, **more: Any
) -> Speaker:
    """Numbered audio, as it is spoken."""
    return Speaker(audio, partial(numbered, salt), seconds, live, **more)


@dataclass
class Heard:
    """One call and all that can be asked of it afterwards."""

    result: Result
    events: list[Event]
    proof: CallProof
    audio: AudioFormat
    spoken_frames: int  # how much numbered audio the source had to give
    emulator: Emulator
    ended_at: float

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def finals(self) -> list[Transcript]:
        return [event for event in self.of(Transcript) if event.is_final]

    @property
    def ended(self) -> CallEnded:
        return self.result.ended

    @property
    def gaps(self) -> list[Gap]:
        return self.of(Gap)

    @property
    def closures(self) -> list[SessionClosed]:
        return self.of(SessionClosed)

    def words(self, channel: int = 0) -> list[Word]:
        return [word for final in self.finals if final.channel == channel for word in final.words]

    def spoken(self, channel: int = 0) -> list[Spoken]:
        return Speech(SALT, self.audio.sample_rate, channel).between(0, self.spoken_frames)


def transcribe(
    plan: Plan | Sequence[Any] | None = None,
    seconds: float = 30.0,
    audio: AudioFormat = PHONE,
    *,
    seed: int = 0,
    source: Source | None = None,
    settings: Settings | None = None,
    options: Mapping[str, Any] | None = None,
    act: Callable[[Call, Room], Awaitable[None]] | None = None,
    habits: Mapping[str, Any] | None = None,
    call: Mapping[str, Any] | None = None,
    **room: Any,
) -> Heard:
    """Simulate one call against an emulator with a plan; `act` runs beside it."""
    if plan is None or not isinstance(plan, Plan):
        plan = Plan(plan or ())
    if habits:
        plan = replace(plan, habits=replace(plan.habits, **habits))
    settings = settings or Settings()

    async def body(room: Room) -> Heard:
        spec = room.spec(
            source=source or speaker(seconds, audio), settings=settings, options=options or {}, **(call or {})
        )
        running = Call(spec, room.world)
        async with trio.open_nursery() as nursery:
            if act:
                nursery.start_soon(act, running, room)
            result = await running.run()
            nursery.cancel_scope.cancel("the call has ended")
        ended_at = trio.current_time()
        await trio.sleep(20)  # what a server still does with what is left of it
        return Heard(
            result, room.events, room.emulator.proof.call(), audio, audio.frames(seconds), room.emulator, ended_at
        )

    return simulate(partial(in_room, body, plan, seed=seed, settings=settings, **room), seed=seed)


def check_account(heard: Heard) -> None:
    """What holds of every call, however it went: the identity, against the emulator's own count; order; pacing; size."""
    audio, proof = heard.ended.audio, heard.proof

    assert audio.heard_frames == (
        audio.acknowledged_frames + audio.lost_frames + audio.withheld_frames + audio.unfinished_frames
    )
    gaps = [(gap.start, gap.end) for gap in heard.gaps]
    lost = sum(heard.audio.frames(end) - heard.audio.frames(start) for start, end in merged(gaps))
    assert lost == audio.lost_frames + audio.withheld_frames
    assert proof.salts in ([], [SALT])
    assert proof.zero_length == 0
    assert proof.foreign_frames == 0
    assert proof.out_of_order == []
    assert not any(connection.misaligned for connection in proof.connections)
    assert proof.silent_frames == audio.injected_frames + audio.filled_frames or audio.filled_frames
    assert pacing_excess(heard) <= 1e-3
    assert [final.seq for final in heard.finals] == list(range(len(heard.finals)))
    assert [event.session for event in heard.closures] == list(range(1, heard.ended.sessions + 1))
    sessions = [event.session for event in heard.events if isinstance(event, SessionOpened | SessionClosed)]
    assert sessions == sorted(sessions)  # one ends before the next begins


def pacing_excess(heard: Heard) -> float:
    """By how many seconds of audio the call as a whole outran 1.25 T + 0.25 in its worst window."""
    from supervisor.emulator.proof import excess

    second = heard.audio.frame_bytes * heard.audio.sample_rate
    arrivals = sorted(
        (time, size / second)
        for each in heard.proof.connections
        for time, size in zip(each.times, each.sizes, strict=True)
    )
    return excess([time for time, _ in arrivals], [size for _, size in arrivals])


def check_whole(heard: Heard) -> None:
    """All of it, once, in order, on the call's own clock to a frame; acknowledged, and made final by the server."""
    check_account(heard)
    audio = heard.ended.audio

    assert (heard.ended.outcome, heard.result.exit_code) == ("complete", 0)
    assert heard.gaps == []
    assert audio.acknowledged_frames == audio.heard_frames
    for channel in range(heard.audio.channels):
        assert heard.proof.not_final(heard.spoken_frames, channel) == []
        words, spoken = heard.words(channel), heard.spoken(channel)
        assert [word.word for word in words] == [each.word for each in spoken]
        assert [word.punctuated_word for word in words] == [each.written for each in spoken]
        for word, each in zip(words, spoken, strict=True):
            check_clock(word, each, heard.audio.sample_rate)


def check_clock(word: Word, spoken: Spoken, rate: int) -> None:
    """A word is where it was spoken, to a frame. A Finalize in the middle of it leaves one of its halves."""
    start, end = round(word.start * rate), round(word.end * rate)

    assert spoken.start <= start < end <= spoken.end
    assert start == spoken.start or end == spoken.end


def merged(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans without what they share."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
