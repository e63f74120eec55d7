"""`calls`: what the daemon is doing, once or watched, and what a person may do about one call."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from ..admin.asking import Absent, ask, calls, path_of, unexpected
from ..admin.protocol import AnyRequest, Done, End, Pause, Resume, UnknownCall
from ..admin.table import details, summary, table
from ..control import CallView
from ..core.plain import plain
from ..core.problem import Exit, Problem
from ..printing import put, say
from ..terminal import fitted

EVERY = 1.0  # seconds between two looks
NEAR = 3  # ids that are offered for one that there is not
CHANGES: Mapping[str, tuple[Callable[[str], AnyRequest], str]] = {
    "end": (End, "has been ended; what it gave is still delivered"),
    "pause": (Pause, "is paused: its audio is neither sent nor kept from now on"),
    "resume": (Resume, "goes on"),
}
# A terminal's other screen (xterm's private modes 1049 and 25), which leaves nothing behind.
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, REST_OF_LINE, REST = "\x1b[H", "\x1b[K", "\x1b[J"


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Print it, or do it; raises Problem."""
    path = path_of(args, environ)
    if args.action is None:
        return _watch(path, args.json, environ) if args.watch else _list(path, args.json)
    if args.watch or not args.call_id:
        raise Problem(
            "--watch shows all calls" if args.watch else f"{args.action} which call?",
            f"write `calls {args.action} ID`", Exit.USAGE,
        )  # fmt: skip
    if args.action == "show":
        return _show(path, args.call_id, args.json)
    return _change(path, args.action, args.call_id, args.json)


def _list(path: str, as_json: bool) -> int:
    these = calls(path)
    put(_json(these) if as_json else "\n".join([summary(these), *(table(these) if these else [])]))
    return 0


def _show(path: str, call_id: str, as_json: bool) -> int:
    these = calls(path)
    for call in these:
        if call.call_id == call_id:
            put(_json(call) if as_json else "\n".join(details(call)))
            return 0
    raise _unknown(call_id, these)


def _change(path: str, action: str, call_id: str, as_json: bool) -> int:
    request, done = CHANGES[action]
    answer = ask(path, request(call_id))
    if isinstance(answer, UnknownCall):
        raise _unknown(call_id, calls(path))
    if not isinstance(answer, Done):
        raise unexpected(path)
    put(_json(answer) if as_json else f"{plain(call_id)} {done}")
    return 0


def _unknown(call_id: str, these: Sequence[CallView]) -> Problem:
    near = get_close_matches(call_id, [call.call_id for call in these], NEAR, 0.5)
    hint = f"did you mean {' or '.join(plain(each) for each in near)}?" if near else "`calls` lists those there are"
    return Problem(f"there is no call {plain(call_id)}", hint, Exit.NO_INPUT)


def _json(said: msgspec.Struct | Sequence[msgspec.Struct]) -> str:
    """In ASCII alone: of the rest, some would be obeyed by a terminal."""
    return json.dumps(msgspec.to_builtins(said)).replace("\x7f", "\\u007f")


def _watch(path: str, as_json: bool, environ: Mapping[str, str]) -> int:
    """Until Ctrl-C, or until the daemon has ended; raises Problem, and BrokenPipeError where nobody reads it any more."""
    these = calls(path)  # what is wrong from the start is said as it always is
    drawn = not as_json and sys.stdout is not None and sys.stdout.isatty() and environ.get("TERM", "dumb") != "dumb"
    try:
        if drawn:
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the screen would be left as it is
            put(ENTER)
        while True:
            put(_json(these) if as_json else _frame(these) if drawn else "\n".join([summary(these), *table(these), ""]))
            time.sleep(EVERY)
            these = calls(path)
    except KeyboardInterrupt:
        ended = ""
    except Absent:
        ended = "stream-supervisor: the daemon has ended"
    finally:
        if drawn:
            put(LEAVE + summary(these))
    if ended:
        say(ended)
    return 0


def _frame(these: Sequence[CallView]) -> str:
    """A screen of it, of the size that the window has now."""
    width, height = shutil.get_terminal_size()
    lines = [summary(these), *(table(these) if these else []), "", "Ctrl-C leaves."]
    if len(lines) > height - 1:
        lines = [*lines[: max(0, height - 2)], "... and more"]
    return HOME + "\n".join(fitted(line, width) + REST_OF_LINE for line in lines) + REST
