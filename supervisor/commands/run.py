"""`run`: the calls that a config lists and those that its intakes bring, all at once, as a service."""

from __future__ import annotations

import os
import random
from argparse import Namespace
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from ..config import Config, load
from ..config.room import total_bytes
from ..core.pool import Pool
from ..core.problem import Problem
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
from ..sinks.stdout import stdout_sink
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
    return trio.run(
        partial(
            running, hosting.run, _sinks(config, log), log=log, tell=tell,
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
