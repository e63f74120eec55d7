"""What runs beside the calls of a daemon: intakes, operators, systemd, the loop's own lateness; and how it all ends.

The first signal lets nobody in any more and waits for the calls there are, the second ends their sources, the third
ends everything; SIGHUP takes up the config anew. What is not there (an admin socket, systemd) is not run.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from .admin.serving import serve
from .call import Call
from .config import Config, IntakeConfig
from .core.account import Account
from .core.fleet import Notice, SharedFleet
from .core.problem import Exit, Problem
from .daemon import CONFIGURED, Daemon, Desk, Generation
from .doors import Doors
from .intakes import Intake
from .lag import Lag
from .metrics import Metrics
from .notify import Notifier
from .probes import serve_probes
from .reloading import Reloading
from .running import Running
from .service import Deepgram

STATUS_EVERY = 1.0  # seconds between two looks at how many calls there are
LEAVING = 60.0  # seconds that systemd is asked for, again and again, while calls end; more than the last writes may take
OPENING = 10.0  # seconds after which a source that waits for its first audio no longer holds back READY
KEY_AGAIN = 10.0  # seconds between two looks whether a refused key has become another one


@dataclass
class Hosting:
    """`run` is the body of `running.running`."""

    now: Generation
    read: Callable[[], Config]  # the config as it is by now; raises Problem
    connect: Callable[[Config], Deepgram]  # likewise
    make: Callable[[IntakeConfig, Desk], Intake]
    notifier: Notifier
    log: FilteringBoundLogger
    metrics: Metrics = field(default_factory=Metrics)
    _listed: set[str] = field(default_factory=set, init=False)  # the names of the calls that were ever begun

    async def run(self, these: Running) -> None:
        config = self.now.config
        self.these = these
        self._opened, self._leaving, self._asked, self._drain = trio.Event(), trio.Event(), trio.Event(), trio.CancelScope()
        obeyed = config.settings.retry.retry_after_longest
        self.fleet = SharedFleet(config.settings.fleet, self._say, obeyed=obeyed)
        lag = Lag(self.notifier, self.metrics.lag)
        self.daemon = Daemon(
            these,
            replace(these.world, fleet=self.fleet, meter=self.metrics),
            self.now,
            lag,
            self.log,
            self.metrics.event,
            self.metrics.ended,
            self._notes,
            self.begin_drain,
            self.stop,
            reload=self.reload,
        )
        self.metrics.view = View(self.daemon, self.fleet)
        async with trio.open_nursery() as beside:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self.doors = Doors(self.daemon, nursery, self.make, self.metrics.rejected, self.log)
                self._reloading = Reloading(
                    self.daemon, self.doors, load=self.read, connect=self.connect, begin=self._begin,
                    told=self.metrics.reloaded, log=self.log,
                )  # fmt: skip
                these.steps[:], these.at_least[signal.SIGINT] = [self.begin_drain, self.stop, self.abort], 1
                these.apart[signal.SIGHUP] = lambda: self._asked.set()  # which is nothing once there is nothing left to reload
                for task in (lag.run, self.daemon.watch, self._watch_drain, self._watch_key, self._extend, self._reload_when_asked):
                    beside.start_soon(task)
                if config.admin:
                    await beside.start(self._guarded, "admin", partial(serve, config.admin.socket, self.daemon, self.log))
                if config.metrics:
                    probes = partial(
                        serve_probes, config.metrics.listen, self.daemon.health, self.metrics.render, self.log
                    )
                    await beside.start(self._guarded, "metrics", probes)
                if await self.doors.change(config.intakes):
                    calls = self._begin(config)
                    status = Status(these, self.daemon, self.fleet, self.notifier)
                    await self._ready(calls, status)
                    self._opened.set()
                    beside.start_soon(status.run)
            beside.cancel_scope.cancel("all calls have ended")

    def _begin(self, config: Config) -> list[Call]:
        """Start the calls that the config lists and that were not begun before."""
        begun = []
        for name in (CONFIGURED, *(intake.name for intake in config.intakes)):
            self.metrics.known(name)
        for each in config.calls:
            if each.name in self._listed:
                continue
            self._listed.add(each.name)
            try:
                spec = self.daemon.configured(each)
            except Problem as problem:
                self.these.tell(problem, each.name)
                continue
            call = self.daemon.call(spec)
            begun.append(call)
            self._nursery.start_soon(self.daemon.run, call, name=f"call {each.name}")
        return begun

    async def _ready(self, calls: Sequence[Call], status: Status) -> None:
        """Say so when the doors and the sources are open. One that has to hear audio to know its format may take for ever."""
        with trio.move_on_after(OPENING):
            for call in calls:
                await call.opened.wait()
        if self.daemon.draining:
            return
        if self.these.calls or len(self.doors) or self.these.exit_code is Exit.OK:  # else the exit code says why not
            status.tell()
            self.notifier.ready()
            self.log.info("ready", calls=len(calls), intakes=len(self.doors))

    async def _guarded(
        self, name: str, task: Callable[..., Awaitable[None]], *, task_status: trio.TaskStatus[object]
    ) -> None:
        """No call ends because operators cannot be served any more. What keeps it from starting is a Problem."""
        try:
            await task(task_status=task_status)
        except Problem:
            raise
        except Exception:
            self.log.exception("listener_crashed", listener=name, hint="calls go on; restart when it suits")

    # How it ends

    def begin_drain(self) -> None:
        """Let nobody in, and wait for the calls there are."""
        if self.daemon.draining:
            return
        self._leave()
        waits = self.daemon.now.config.limits.drain_timeout
        self.log.warning("draining", calls=sorted(self.these.calls), at_most=waits)
        self._drain.deadline = trio.current_time() + waits
        for call in [each for each in self.these.calls.values() if not each.begun]:
            call.stop()  # nobody is on that line: there is no call to wait for

    def stop(self) -> None:
        """End the sources: what they gave is still delivered."""
        self._leave()
        self._drain.deadline = -float("inf")

    def abort(self) -> None:
        """End everything."""
        self._leave()
        self.log.warning("aborting", calls=sorted(self.these.calls))
        self.these.abort()

    def _leave(self) -> None:
        self._opened.set()
        self.daemon.draining = True
        self.doors.close()
        self.notifier.stopping()
        self._leaving.set()

    async def _watch_drain(self) -> None:
        with self._drain:
            await trio.sleep_forever()
        ends = "the sources; what they gave is still delivered"
        self.log.warning("stopping", ends=ends, calls=sorted(self.these.calls))
        self.these.stop()

    async def _extend(self) -> None:
        """TimeoutStopSec is for a process that hangs; one that still delivers, and says so, is not killed for taking long."""
        await self._leaving.wait()
        while True:
            self.notifier.extend_timeout(LEAVING)
            await trio.sleep(LEAVING / 3)

    # What changes

    async def reload(self) -> list[str]:
        await self._opened.wait()  # what is still being opened would be opened twice
        self.notifier.reloading()
        try:
            return await self._reloading()
        finally:
            self.notifier.stopping() if self.daemon.draining else self.notifier.ready()

    async def _reload_when_asked(self) -> None:
        """Who asks often meanwhile has one more, which finds all that has changed."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            await self.reload()

    async def _watch_key(self) -> None:
        """A key that is refused is free again once it is another one, without anybody's saying so."""
        while True:
            await trio.sleep(KEY_AGAIN)
            deepgram = self.daemon.now.deepgram
            if self.fleet.refused and await deepgram.key_has_changed():
                self.log.info("key_changed", key=deepgram.key_name)
                self.fleet.restart(trio.current_time())

    def _say(self, notice: Notice) -> None:
        self.log.log({"info": 20, "warning": 30, "error": 40}[notice.level], notice.event, **notice.details)

    def _notes(self) -> Iterator[str]:
        for key, model in self.fleet.refused:
            yield f"the key {key or '(none)'} is refused" + (f" for {model}" if model else "") + f": {self.fleet.waiting} calls wait"
        for endpoint, state in self.fleet.breakers().items():
            if state != "closed":
                yield f"{endpoint} does not answer: one call at a time tries"
        for key, limit in self.fleet.limits().items():
            if limit is not None:
                yield f"the server allows {limit} sessions at a time for the key {key or '(none)'}"


@dataclass
class View:
    """What the metrics show of the moment (`metrics.View`)."""

    daemon: Daemon
    fleet: SharedFleet

    def accounts(self) -> Iterator[Account]:
        return (call.account for call in self.daemon.these.calls.values())

    def states(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for call in self.daemon.these.calls.values():
            found[call.status] = found.get(call.status, 0) + 1
        return found

    @property
    def buffer_bytes(self) -> int:
        return self.daemon.world.pool.used

    @property
    def buffer_limit(self) -> int:
        return self.daemon.world.pool.limit

    def breakers(self) -> Mapping[str, str]:
        return self.fleet.breakers()

    def governors(self) -> Mapping[str, int | None]:
        return self.fleet.limits()

    def refused_keys(self) -> int:
        return len(self.fleet.refused)

    def backlogs(self) -> Mapping[str, int]:
        return {sink.name: sink.backlog for sink in self.daemon.these.sinks}


class Status:
    """One line for `systemctl status`, told when it changes."""

    def __init__(self, these: Running, daemon: Daemon, fleet: SharedFleet, notifier: Notifier) -> None:
        self._these, self._daemon, self._fleet, self._notifier = these, daemon, fleet, notifier
        self._told = ""

    def tell(self) -> None:
        count = len(self._these.calls)
        waiting = sum(call.status in ("dialling", "waiting") for call in self._these.calls.values())
        parts = ["draining"] if self._daemon.draining else []
        parts.append(f"{count} call{'' if count == 1 else 's'}")
        parts += [f"{waiting} without a session"] if waiting else []
        parts += ["a key is refused"] if self._fleet.refused else []
        status = ", ".join(parts)
        if status != self._told:
            self._told = status
            self._notifier.status(status)

    async def run(self) -> None:
        while True:
            self.tell()
            await trio.sleep(STATUS_EVERY)
