"""`run`: the calls that a config lists and those that its intakes bring, all at once, as a service."""

from __future__ import annotations

import os
import random
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from ..config import Config, SinkConfig, load
from ..config.room import total_bytes
from ..core.pool import Pool
from ..core.problem import Exit, Problem
from ..credential import credential_from
from ..daemon import Generation
from ..hosting import Hosting
from ..intakes.kinds import intake_from
from ..logs import Secrets, configure
from ..notify import Notifier
from ..running import running
from ..service import Deepgram
from ..sinks import Sink
from ..sinks.encoding import lines_of
from ..sinks.files import FilesSink
from ..sinks.last_resort import ReserveSink
from ..sinks.stdout import stdout_sink
from ..sinks.webhook import webhook_sink
from ..stopping import of_this_process


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Run until a signal ends it, or all calls have ended and none can come; raises Problem for a wrong config."""
    secrets = Secrets()
    log = configure(environ, level=args.log_level or ("error" if args.quiet else "info"), form=args.log_format, secrets=secrets)

    def read() -> Config:
        config = load(args.config, environ)
        for warning in config.warnings:
            log.warning("config_suspicious", problem=warning)
        return config

    def connect(config: Config) -> Deepgram:
        return Deepgram(
            config.deepgram.url,
            credential_from(config.deepgram.api_key, environ, learn=secrets.add),
            ca=config.deepgram.ca or "",
            settings=config.settings.session,
            environ=environ,
        )

    config = read()
    deepgram = connect(config)
    for warning in deepgram.check():
        log.warning("key_exposed", problem=warning)

    def tell(problem: Problem, call_id: str = "") -> None:
        of = {"call_id": call_id} if call_id else {}
        log.error("call_failed" if call_id else "output_failed", problem=problem.cause, hint=problem.hint, **of)

    hosting = Hosting(
        Generation(config, deepgram), read, connect, lambda intake, desk: intake_from(intake, desk, log, lines_of), Notifier(environ), log
    )
    sinks = [_sink(each, log, environ, secrets) for each in _named(config.sinks) if not each.last_resort]
    reserve = next((each for each in _named(config.sinks) if each.last_resort), None)
    return trio.run(
        partial(
            running, hosting.run, sinks, log=log, tell=tell, reserve=_reserve(reserve, log) if reserve else None,
            pool=Pool(total_bytes(config.settings.buffer)), chance=random.Random(os.urandom(16)), signals=of_this_process,
        )
    )  # fmt: skip


def _named(sinks: Sequence[SinkConfig]) -> Iterator[SinkConfig]:
    """Each with a name of its own: its kind and, from the second on, its number among those."""
    taken = {sink.name for sink in sinks}
    for sink in sinks:
        names = (sink.kind if number == 1 else f"{sink.kind}-{number}" for number in count(1))
        name = sink.name or next(each for each in names if each not in taken)
        taken.add(name)
        yield replace(sink, name=name)


def _sink(config: SinkConfig, log: FilteringBoundLogger, environ: Mapping[str, str], secrets: Secrets) -> Sink:
    name = config.name or config.kind
    match config.kind:
        case "stdout":
            return stdout_sink(log=log, name=name, form=config.format, interims=config.interims)
        case "files":
            directory = Path(config.directory or ".")
            return FilesSink(directory, log=log, name=name, form=config.format, interims=config.interims)
        case "webhook":
            secret = credential_from(config.secret, environ, learn=secrets.add)
            if secret is None or config.url is None:
                raise Problem("a webhook has no secret", "say where it is: file:PATH, env:NAME", Exit.CONFIG)
            chance = random.Random(os.urandom(16))
            return webhook_sink(
                config.url, secret, log=log, chance=chance, ca=config.ca or "", interims=config.interims, name=name
            )


def _reserve(config: SinkConfig, log: FilteringBoundLogger) -> Sink:
    return ReserveSink(Path(config.directory or "."), log=log, name=config.name or config.kind, form=config.format)
