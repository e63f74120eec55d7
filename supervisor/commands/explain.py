"""`explain`: what a closure, a status, a payload or a pasted line means."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping

from ..explain import explain_text
from ..printing import put


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Print it; raises Problem where nothing is recognised. `-` reads what is to be explained from stdin."""
    del environ
    words = [_standard_input()] if args.what == ["-"] else args.what
    put(explain_text(words))
    return 0


def _standard_input() -> str:
    """As much of it as a paste has, whatever bytes it is made of."""
    return "" if sys.stdin is None else sys.stdin.buffer.read(65536).decode("utf-8", "replace")
