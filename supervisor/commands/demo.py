"""`demo`: a reading is transcribed, whole, by a server that misbehaves on purpose; no key, no network."""

from __future__ import annotations

import sys
import tempfile
import textwrap
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from ..core.plain import plain
from ..core.problem import Exit, Problem
from ..demo.drawing import lasting
from ..demo.material import Material, material
from ..demo.performing import Performance, Show, perform
from ..demo.plain_view import PlainView
from ..demo.scenario import mishaps
from ..logs import build, configure, is_terminal, wants_colour
from ..printing import put, say
from ..sinks.screen import terminal_width

SIGNALLED = 128  # and the signal's number, as shells have it
MISHAPS = (
    "In the pauses the server closes with 1011, resets TCP, refuses with 503, and stops answering.",
    "It takes about 40 s; Ctrl-C ends it.",
)


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Play it and say what came of it; 0 only if all that is claimed holds, 70 if something does not."""
    played = material()
    put(_broken((*played.about, *MISHAPS), _width()))
    with ExitStack() as stack:
        show, log = _show(args, environ, played, stack)
        problems: list[Problem] = []
        performance = trio.run(
            partial(
                perform, played, mishaps(played.pauses), show, log=log, tell=lambda problem, _: problems.append(problem)
            )
        )
    width = _width()
    if not isinstance(show, PlainView) and not problems:
        put("\n".join(["", *lasting(show.story, width)]))
    for problem in problems:
        say(f"stream-supervisor: {problem}")
    return _report(performance, width)


def _show(
    args: Namespace, environ: Mapping[str, str], played: Material, stack: ExitStack
) -> tuple[Show, FilteringBoundLogger]:
    """A view that moves, on a terminal that can have one, or else lines."""
    if is_terminal(sys.stdout) and not args.plain and environ.get("TERM", "dumb") != "dumb":
        try:
            from rich.console import Console

            from ..demo.live_view import LiveView
        except ImportError:
            say("rich is not installed, so these are plain lines: install stream-supervisor[demo]")
        else:
            console = Console(
                file=sys.stdout, no_color=not wants_colour(sys.stdout, environ), highlight=False, markup=False
            )
            # A line on the picture would be gone with it: they are kept until the picture is.
            kept = stack.enter_context(_kept_lines())
            show = LiveView(console, played.seconds)
            stack.callback(show.restore)
            return show, build(environ, level="error", fd=kept)
    log = configure(environ, level="error")
    return PlainView(log=log), log


@contextmanager
def _kept_lines() -> Iterator[int]:
    """A descriptor for lines that are shown when this is over."""
    with tempfile.TemporaryFile() as kept:
        yield kept.fileno()
        kept.seek(0)
        for line in kept.read().decode("utf-8", "replace").splitlines():
            say(line)


def _width() -> int:
    """What lines are broken at: a pipe has no width."""
    return terminal_width() if is_terminal(sys.stdout) else 1000


def _broken(lines: Iterable[str], width: int) -> str:
    """Lines as they are, or broken between words where a terminal would break them within."""
    indented = partial(textwrap.wrap, width=width, subsequent_indent=" " * 4, break_on_hyphens=False)
    return "\n".join("\n".join(indented(line)) for line in lines)


def _report(performance: Performance, width: int) -> int:
    if performance.interrupted:
        say("stopped before its end: nothing is shown by this run")
        return SIGNALLED + performance.interrupted
    found = performance.outcome
    if performance.exit_code is Exit.OUTPUT:
        return Exit.OUTPUT
    if found is None:
        put("the call did not come to an end")
        return performance.exit_code or Exit.BUG
    put("\n" + _broken(found.lines, width))
    if not found.differences and performance.exit_code is Exit.OK:
        put("All of it holds.")
        return Exit.OK
    put("\n".join(["This does not hold:", *(f"  {plain(each)}" for each in found.differences)]))
    return Exit.BUG
