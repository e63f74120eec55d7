"""`check`: what a config says, as it was understood, or everything that is wrong with it."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import trio

from ..config import Config, describe, load
from ..core.plain import plain
from ..core.problem import Problem
from ..credential import credential_from
from ..dial import route
from ..printing import put, say
from ..probing import try_out
from ..service import Deepgram
from ..sources import source_from


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Print it; raises Problem. Unless --network asks for it, nothing is dialled, and no command that prints a key is run."""
    config = load(args.config, environ)
    credential = credential_from(config.deepgram.api_key, environ)
    ca, settings = config.deepgram.ca or "", config.settings.session
    deepgram = Deepgram(config.deepgram.url, credential, ca=ca, settings=settings, environ=environ)
    for warning in (*config.warnings, *deepgram.check(), *_absent(config)):
        _warn(warning)
    put(describe(config))
    if args.network:
        way = route(deepgram.url, ca=ca, environ=environ, send_timeout=settings.send_timeout)
        trio.run(partial(try_out, config, deepgram, way, tell=put, warn=_warn))
    return 0


def _warn(warning: str) -> None:
    say(f"stream-supervisor: warning: {warning}")


def _absent(config: Config) -> Iterator[str]:
    """What a run would miss on this machine as it is now; whoever starts it may make it first."""
    for call in config.calls:
        try:
            source_from(call.source, encoding=call.encoding, sample_rate=call.sample_rate, channels=call.channels)
        except Problem as problem:
            yield f'[[call]] "{plain(call.name, 60)}" {problem}'
    for intake in config.intakes:
        if intake.directory is not None and not os.access(intake.directory, os.R_OK | os.W_OK | os.X_OK):
            why = "cannot be read and written to by whoever runs this check" if Path(intake.directory).is_dir() else "is not there"
            yield f'[[intake]] "{plain(intake.name, 60)}" directory {plain(intake.directory)} {why}'
    for sink in config.sinks:
        directory = Path(sink.directory or ".")
        if not os.access(directory if directory.is_dir() else directory.parent, os.W_OK):
            yield f"[[sink]] directory {plain(str(directory))} cannot be written to by whoever runs this check"
