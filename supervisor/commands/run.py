"""`run`: the calls that a config lists, all at once, as a service."""

from __future__ import annotations

import os
import random
import signal
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from ..call import Call, Spec
from ..config import CallConfig, Config, load
from ..config.room import total_bytes
from ..core.pool import Pool
from ..core.problem import Exit, Problem
from ..credential import credential_from
from ..logs import Secrets, configure
from ..notify import Notifier
from ..running import Running, running
from ..service import Deepgram
from ..sinks import Sink
from ..sinks.files import FilesSink
from ..sinks.stdout import stdout_sink
from ..sources import source_from
from ..stopping import of_this_process

STATUS_EVERY = 1.0  # seconds between two looks at how many calls there are
LEAVING = 60.0  # seconds that systemd is asked for, again and again, while calls end; more than the last writes may take
OPENING = 10.0  # seconds after which a source that waits for its first audio no longer holds back READY


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Run until all calls have ended or a signal ends them; raises Problem for a config that cannot be run."""
    secrets = Secrets()
    log = configure(environ, level=args.log_level or ("error" if args.quiet else "info"), form=args.log_format, secrets=secrets)
    config = load(args.config, environ)
    for warning in config.warnings:
        log.warning("config_suspicious", problem=warning)
    credential = credential_from(config.deepgram.api_key, environ, learn=secrets.add)
    deepgram = Deepgram(
        config.deepgram.url,
        credential,
        ca=config.deepgram.ca or "",
        settings=config.settings.session,
        environ=environ,
    )
    for warning in deepgram.check():
        log.warning("key_exposed", problem=warning)

    def tell(problem: Problem, call_id: str = "") -> None:
        of = {"call_id": call_id} if call_id else {}
        log.error("call_failed" if call_id else "output_failed", problem=problem.cause, hint=problem.hint, **of)

    body = partial(_calls, config=config, deepgram=deepgram, log=log, notifier=Notifier(environ))
    return trio.run(
        partial(
            running, body, _sinks(config, log), log=log, tell=tell,
            pool=Pool(total_bytes(config.settings.buffer)), chance=random.Random(os.urandom(16)), signals=of_this_process,
        )
    )  # fmt: skip


def _sinks(config: Config, log: FilteringBoundLogger) -> list[Sink]:
    return [
        stdout_sink(log=log, form=each.format, interims=each.interims)
        if each.kind == "stdout"
        else FilesSink(Path(each.directory or "."), log=log, form=each.format, interims=each.interims)
        for each in config.sinks
    ]


async def _calls(
    these: Running, *, config: Config, deepgram: Deepgram, log: FilteringBoundLogger, notifier: Notifier
) -> None:
    drain, leaving = trio.CancelScope(), trio.Event()

    def leave() -> None:
        notifier.stopping()
        leaving.set()

    def begin_drain() -> None:
        leave()
        waits = config.limits.drain_timeout
        log.warning("draining", calls=sorted(these.calls), at_most=waits)
        drain.deadline = trio.current_time() + waits
        for call in [each for each in these.calls.values() if not each.begun]:
            call.stop()  # nobody is on that line: there is no call to wait for

    def stop() -> None:
        leave()
        drain.deadline = -float("inf")

    def abort() -> None:
        log.warning("aborting", calls=sorted(these.calls))
        these.abort()

    async def watch_drain() -> None:
        with drain:
            await trio.sleep_forever()
        log.warning("stopping", ends="the sources; what they gave is still delivered", calls=sorted(these.calls))
        these.stop()

    these.steps[:], these.at_least[signal.SIGINT] = [begin_drain, stop, abort], 1
    async with trio.open_nursery() as service:
        service.start_soon(watch_drain)
        service.start_soon(_watchdog, notifier)
        service.start_soon(_extend, leaving, notifier)
        async with trio.open_nursery() as nursery:
            calls = []
            for number, each in enumerate(config.calls):
                try:
                    call = Call(_spec(config, each, deepgram), these.world, phase=number)
                except Problem as problem:
                    these.tell(problem, each.name)
                    continue
                calls.append(call)
                nursery.start_soon(these.call, call)
            status = _Status(these, leaving, notifier)
            await _ready(calls, these, status, notifier, log)
            service.start_soon(status.run)
        service.cancel_scope.cancel("all calls have ended")


def _spec(config: Config, call: CallConfig, deepgram: Deepgram) -> Spec:
    return Spec(
        call_id=call.name,
        source=source_from(
            call.source, encoding=call.encoding, sample_rate=call.sample_rate, channels=call.channels, live=call.live
        ),
        offer=deepgram.offer(config.options(call)),
        settings=config.settings,
        metadata=call.metadata,
        labels=call.labels,
        realtime=call.pace == "realtime",
    )


async def _ready(
    calls: Sequence[Call], these: Running, status: _Status, notifier: Notifier, log: FilteringBoundLogger
) -> None:
    """Say so when the sources are open. One that has to hear audio before it knows its format may take for ever."""
    with trio.move_on_after(OPENING):
        for call in calls:
            await call.opened.wait()
    if these.calls or these.exit_code is Exit.OK:  # else none could be opened: the exit code says why
        status.tell()
        notifier.ready()
        log.info("ready", calls=len(calls))


async def _watchdog(notifier: Notifier) -> None:
    while notifier.watchdog_interval:
        notifier.watchdog()
        await trio.sleep(notifier.watchdog_interval)


class _Status:
    """One line for `systemctl status`, told when it changes."""

    def __init__(self, these: Running, leaving: trio.Event, notifier: Notifier) -> None:
        self._these, self._leaving, self._notifier = these, leaving, notifier
        self._told = ""

    def tell(self) -> None:
        count = len(self._these.calls)
        status = f"{'draining, ' if self._leaving.is_set() else ''}{count} call{'' if count == 1 else 's'}"
        if status != self._told:
            self._told = status
            self._notifier.status(status)

    async def run(self) -> None:
        while True:
            self.tell()
            await trio.sleep(STATUS_EVERY)


async def _extend(leaving: trio.Event, notifier: Notifier) -> None:
    """TimeoutStopSec is for a process that hangs; one that still delivers, and says so, is not killed for taking long."""
    await leaving.wait()
    while True:
        notifier.extend_timeout(LEAVING)
        await trio.sleep(LEAVING / 3)
