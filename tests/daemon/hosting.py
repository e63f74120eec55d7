"""A whole daemon in simulated time: the product's own, but for the sockets below it and the telephones before it."""

from __future__ import annotations

import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from supervisor.config import Config, IntakeConfig, LimitsConfig
from supervisor.control import CallView
from supervisor.core.pool import Pool
from supervisor.core.problem import Exit
from supervisor.daemon import Generation
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator
from supervisor.events import CallEnded, Event, Transcript
from supervisor.hosting import Hosting
from supervisor.intakes import Arrival, Taken
from supervisor.notify import Notifier
from supervisor.running import running
from supervisor.sinks.memory import MemorySink
from tests.simulation import Routed, simulate, speaker
from tests.sinks.making import Log

PBX = IntakeConfig("pbx", "audiosocket", "127.0.0.1:9092")


class Telephones:
    """An intake of calls that the test places."""

    def __init__(self, config, desk):
        self.config = config
        self.desk = desk
        self._closed = trio.Event()
        self.nursery = None

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        async with trio.open_nursery() as self.nursery:
            task_status.started(self.config.listen)
            await self._closed.wait()

    def close(self):
        self._closed.set()

    @property
    def open(self):
        return not self._closed.is_set()


class Told(Notifier):
    """What systemd would hear, and when."""

    def __init__(self):
        super().__init__({})
        self.watchdog_interval = None
        self.lines = []

    def _tell(self, state):
        self.lines.append((trio.current_time(), state.partition("\n")[0]))
        return True


@dataclass
class House:
    """A daemon that runs, and everything that a test may do to it."""

    hosting: Hosting
    emulator: Emulator
    sink: MemorySink
    log: Log
    notifier: Told
    intakes: list[Telephones] = field(default_factory=list)
    signals: trio.MemorySendChannel | None = None
    taken: dict[str, Taken] = field(default_factory=dict)
    outcome: Exit | None = None
    offered: Config | None = None  # what the next reload reads

    @property
    def daemon(self):
        return self.hosting.daemon

    @property
    def events(self) -> list[Event]:
        return self.sink.events

    def of(self, kind, call_id=None):
        return [event for event in self.events if isinstance(event, kind) and call_id in (None, event.call_id)]

    def words(self, call_id):
        return [word for event in self.of(Transcript, call_id) if event.is_final for word in event.words]

    def ended(self, call_id) -> CallEnded:
        (ended,) = self.of(CallEnded, call_id)
        return ended

    def view(self, call_id) -> CallView:
        return next(view for view in self.daemon.calls() if view.call_id == call_id)

    def place(self, call_id="call", seconds=20.0, *, source=None, intake=0, **arrival):
        """A call arrives."""
        telephones = self.intakes[intake]

        async def take():
            source_ = source or speaker(seconds)
            self.taken[call_id] = await telephones.desk.take(Arrival(call_id, source_, **arrival))

        telephones.nursery.start_soon(take)

    def signal(self, number=signal.SIGTERM):
        self.signals.send_nowait(number)


def host(
    body: Callable[[House], Awaitable[None]],
    plan: Plan | list | None = None,
    *,
    config: Config | None = None,
    sink: MemorySink | None = None,
    sinks: list | None = None,
    seed: int = 0,
    credential=None,
    api_key=None,
    pool: Pool | None = None,
    **options,
) -> House:
    """Run a daemon beside `body`, until the body is done and it has been told to end; returns what is left."""
    houses = []
    config = config or Config(intakes=(PBX,), limits=LimitsConfig(max_calls=1000), **options)

    async def main():
        emulator = Emulator(plan if isinstance(plan, Plan) else Plan(plan or ()), seed=seed, api_key=api_key)
        send, receive = trio.open_memory_channel(10)
        heard = sink or MemorySink()
        log = Log()
        logger = log.log

        class Signals:
            def __enter__(self):
                return receive

            def __exit__(self, *_):
                return None

        async with trio.open_nursery() as nursery:
            dial = emulator.dial_in(nursery, latency=0.02)

            def connect(config):
                return Routed(
                    dial, credential=credential() if callable(credential) else credential,
                    settings=config.settings.session, entropy=random.Random(seed + 1).randbytes,
                )  # fmt: skip

            def make(intake_config, desk):
                telephones = Telephones(intake_config, desk)
                house.intakes.append(telephones)
                return telephones

            hosting = Hosting(
                Generation(config, connect(config)), lambda: house.offered or config, connect, make, Told(), logger
            )
            house = House(hosting, emulator, heard, log, hosting.notifier, signals=send)
            houses.append(house)

            async def beside(these):
                async with trio.open_nursery() as inner:

                    async def run_body():
                        while not hasattr(hosting, "doors") or not len(hosting.doors):
                            if hasattr(hosting, "daemon") and hosting.daemon.draining:
                                return
                            await trio.sleep(0.001)
                        await trio.sleep(0.01)
                        await body(house)
                        if not hosting.daemon.draining:
                            hosting.begin_drain()

                    inner.start_soon(run_body)
                    await hosting.run(these)

            house.outcome = await running(
                beside, sinks or [heard], log=logger, tell=lambda problem, call_id="": logger.error("told", problem=str(problem), call_id=call_id),
                pool=pool or Pool(), chance=random.Random(seed), signals=Signals,
            )  # fmt: skip
            nursery.cancel_scope.cancel()

    simulate(main, seed=seed)
    return houses[0]

