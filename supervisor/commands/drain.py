"""`drain`: the daemon takes no new calls, and ends with the last of those it has."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from ..admin.asking import ask, path_of, unexpected
from ..admin.protocol import Calls, Drain
from ..admin.table import count, table
from ..printing import put


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Say what it waits for; raises Problem. It is not waited for here."""
    path = path_of(args, environ)
    answer = ask(path, Drain(now=args.now))
    if not isinstance(answer, Calls):
        raise unexpected(path)
    if not answer.calls:
        put("draining: there is no call to wait for")
        return 0
    waits = f"waits for {count(len(answer.calls), 'call')}"
    how = f"the sources end now; {waits} to be delivered" if args.now else f"no new calls; {waits} to end"
    put("\n".join([f"draining: {how}", *table(answer.calls)]))
    return 0
