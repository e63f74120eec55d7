"""`explain`: what a closure, a status, a payload or a pasted line means."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping

from ..explain import explain_text


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Print it; raises Problem where nothing is recognised. `-` reads what is to be explained from stdin."""
    del environ
    words = [sys.stdin.read(65536)] if args.what == ["-"] else args.what
    print(explain_text(words))
    return 0
