"""`check`: what a config says, as it was understood, or everything that is wrong with it."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..config import Config, describe, load
from ..core.plain import plain
from ..core.problem import Problem
from ..credential import credential_from
from ..printing import put, say
from ..service import Deepgram
from ..sources import source_from


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Print it; raises Problem. Nothing is dialled, and a command that prints a key is not run."""
    config = load(args.config, environ)
    credential = credential_from(config.deepgram.api_key, environ)
    deepgram = Deepgram(config.deepgram.url, credential, ca=config.deepgram.ca or "", environ=environ)
    for warning in (*config.warnings, *deepgram.check(), *_absent(config)):
        say(f"stream-supervisor: warning: {warning}")
    put(describe(config))
    return 0


def _absent(config: Config) -> Iterator[str]:
    """What a run would miss on this machine as it is now; whoever starts it may make it first."""
    for call in config.calls:
        try:
            source_from(call.source, encoding=call.encoding, sample_rate=call.sample_rate, channels=call.channels)
        except Problem as problem:
            yield f'[[call]] "{plain(call.name, 60)}" {problem}'
    for sink in config.sinks:
        directory = Path(sink.directory or ".")
        if not os.access(directory if directory.is_dir() else directory.parent, os.W_OK):
            yield f"[[sink]] directory {plain(str(directory))} cannot be written to by whoever runs this check"
