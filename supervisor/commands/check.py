"""`check`: what a config says, as it was understood, or everything that is wrong with it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from ..config import describe, load
from ..credential import credential_from
from ..printing import put, say
from ..service import Deepgram


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Print it; raises Problem. Nothing is dialled, and a command that prints a key is not run."""
    config = load(args.config, environ)
    credential = credential_from(config.deepgram.api_key, environ)
    deepgram = Deepgram(config.deepgram.url, credential, ca=config.deepgram.ca or "", environ=environ)
    for warning in (*config.warnings, *deepgram.check()):
        say(f"stream-supervisor: warning: {warning}")
    put(describe(config))
    return 0
