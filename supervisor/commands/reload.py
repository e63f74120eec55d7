"""`reload`: the daemon takes up its config anew, all of it or nothing; no running call is touched."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from ..admin.asking import ask, path_of, unexpected
from ..admin.protocol import Reload, Reloaded
from ..core.plain import plain
from ..core.problem import Exit
from ..printing import put, say

PATIENCE = 70.0  # seconds, more than the daemon takes: it may have to run a command that prints a key


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Say that it is done, or what is wrong with the config, a line each; raises Problem."""
    path = path_of(args, environ)
    answer = ask(path, Reload(), patience=PATIENCE)
    if not isinstance(answer, Reloaded):
        raise unexpected(path)
    for fault in answer.faults:
        say(f"stream-supervisor: {plain(fault, 1000)}")
    if answer.faults:
        say("stream-supervisor: nothing was changed; the daemon goes on with the config it has")
        return Exit.CONFIG
    put("reloaded; sessions that begin from now on use it")
    return 0
