"""The demo without a terminal, a network or a clock: its own driver, on memory wires, in simulated time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
import trio

from supervisor.core.problem import Problem
from supervisor.demo.material import Material, numbers, reading
from supervisor.demo.performing import Performance, perform
from supervisor.demo.story import Story
from supervisor.emulator.sphinx import SphinxEngine
from supervisor.events import Event
from supervisor.logs import build
from supervisor.sinks.memory import MemorySink
from tests.simulation import Routed, simulate

try:
    import pocketsphinx  # noqa: F401
except ImportError:
    recognises = pytest.mark.skip(reason="pocketsphinx is not installed: it has wheels for Python 3.11 and 3.13 only")
else:
    recognises = pytest.mark.filterwarnings("error")


class Watching(MemorySink):
    """Sees what a view sees, when it sees it."""

    def __init__(self):
        super().__init__()
        self.story = Story()
        self.lines: list[str] = []
        self.times: list[tuple[float, Event]] = []

    def watch(self, call):
        self.call = call

    def offer(self, event):
        super().offer(event)
        self.times.append((trio.current_time(), event))
        if line := self.story.told(event):
            self.lines.append(line)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class Played:
    performance: Performance
    view: Watching
    seconds: float
    problems: list[Problem] = field(default_factory=list)

    @property
    def outcome(self):
        assert self.performance.outcome is not None
        return self.performance.outcome

    @property
    def words(self):
        return [word.word for word in self.view.story.words]


def play(material: Material, connections, *, seed=12) -> Played:
    view, problems = Watching(), []

    async def over_memory(emulator, nursery):
        dial = emulator.dial_in(nursery, latency=0.02)
        return Routed(dial, entropy=random.Random(seed).randbytes).offer({"interim_results": True})

    async def main():
        began = trio.current_time()
        performance = await perform(
            material,
            connections,
            view,
            log=build({}, level="critical", fd=None),
            tell=lambda problem, _: problems.append(problem),
            connect=over_memory,
            seed=seed,
            signals=None,
        )
        return performance, trio.current_time() - began

    performance, seconds = simulate(main, seed=seed)
    return Played(performance, view, seconds, problems)


def spoken() -> Material:
    return reading(SphinxEngine())


def counted() -> Material:
    return numbers("no recogniser here")
