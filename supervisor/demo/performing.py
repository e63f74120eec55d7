"""The demo itself: an emulator that misbehaves and a call that is transcribed all the same, in one process.

Nothing in it knows whether time is real and the network is: a test plays it on a clock that jumps, over memory.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio
from structlog.typing import FilteringBoundLogger

from ..call import Call, Spec
from ..core.pool import Pool
from ..core.problem import Exit, Problem
from ..core.settings import RetrySettings, Settings
from ..emulator.faults import Fault
from ..emulator.server import Emulator, listen
from ..events import CallEnded
from ..running import Running, Tell, running
from ..service import Deepgram, Offer
from ..sinks import Sink
from ..stopping import Signals, of_this_process
from .material import FORMAT, Material
from .outcome import Outcome, outcome
from .scenario import scenario
from .story import Story
from .witness import Witness

SEED = 12  # of all chance, the server's and ours
# Everything is as it would be for a real call, but that nobody waits a quarter of an hour for a demo.
SETTINGS = Settings(retry=RetrySettings(give_up_after=20.0))

Connect = Callable[[Emulator, trio.Nursery], Awaitable[Offer]]


class Show(Sink, Protocol):
    """A sink that people look at."""

    story: Story

    def watch(self, call: Call) -> None:
        """Events say what has happened; this is whom to ask how things stand."""


@dataclass(slots=True)
class Performance:
    """How it went."""

    exit_code: Exit
    outcome: Outcome | None = None  # None if it was not played to the end
    interrupted: int = 0  # the signal that ended it


async def over_loopback(emulator: Emulator, nursery: trio.Nursery) -> Offer:
    """TCP, as it would be with a server that is elsewhere."""
    try:
        port = await nursery.start(partial(listen, emulator, port=0))
    except OSError as error:
        raise Problem("cannot listen on 127.0.0.1", error.strerror or str(error), Exit.GAVE_UP) from error
    # Whatever the environment says of proxies and keys is not for this.
    return Deepgram(f"ws://127.0.0.1:{port}/v1/listen", environ={}).offer({"interim_results": True})


async def perform(
    material: Material,
    connections: Sequence[Fault],
    show: Show,
    *,
    log: FilteringBoundLogger,
    tell: Tell,
    connect: Connect = over_loopback,
    seed: int = SEED,
    signals: Signals | None = of_this_process,
) -> Performance:
    """Play it once, and compare."""
    performance = Performance(Exit.OK)
    witness = Witness(material.engine, material.audio(0, material.frames * FORMAT.frame_bytes))
    calls: list[Call] = []

    def begins() -> float:
        session = calls[0].session if calls else None
        return FORMAT.seconds(session.reader.position) if session else 0.0

    emulator = Emulator(scenario(connections, begins), engine=witness, seed=seed)
    ended: list[CallEnded] = []

    async def body(these: Running) -> None:
        async with trio.open_nursery() as nursery:
            if signals:
                await nursery.start(_interruptible, signals, performance, these)
            offer = await connect(emulator, nursery)
            call = Call(Spec("demo", material.source(), offer, SETTINGS), these.world)
            calls.append(call)
            show.watch(call)
            if result := (await these.call(call)).result:
                ended.append(result.ended)
            nursery.cancel_scope.cancel("the call has ended")

    performance.exit_code = await running(body, [show], log=log, tell=tell, pool=Pool(), chance=random.Random(seed))
    if ended and not performance.interrupted:
        proof = witness.testimony(emulator.proof.connections)
        performance.outcome = outcome(material, show.story.words, ended[0], proof)
    return performance


async def _interruptible(
    signals: Signals, performance: Performance, these: Running, *, task_status: trio.TaskStatus[None]
) -> None:
    with signals() as came:
        task_status.started()
        async for number in came:
            performance.interrupted = performance.interrupted or number
            these.abort()
