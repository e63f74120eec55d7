"""`transcribe`: audio that is named on the command line, one call after another."""

from __future__ import annotations

import os
import random
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePath

import trio

from ..call import Call, Spec
from ..config.room import total_bytes
from ..core.options import options_from
from ..core.plain import plain
from ..core.pool import Pool
from ..core.problem import Exit, Problem
from ..core.settings import Settings
from ..credential import credential_from
from ..logs import Secrets, configure, is_terminal, wants_colour
from ..printing import say
from ..running import Running, running
from ..saving import saved
from ..service import Deepgram
from ..sinks import Sink
from ..sinks.encoding import Form
from ..sinks.screen import ScreenSink
from ..sinks.stdout import named_file_sink, stdout_sink
from ..sources import Source, source_from
from ..stopping import of_this_process

URL = "wss://api.deepgram.com/v1/listen"
STATUS_EVERY = 0.25  # seconds between two looks at how far a call has come


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Transcribe each source; raises Problem for what is wrong before the first of them is begun."""
    secrets = Secrets()
    terminal = is_terminal(sys.stdout) and not args.quiet
    form: Form = args.format or ("text" if is_terminal(sys.stdout) and not args.out else "jsonl")
    screen = terminal and (form == "text" or bool(args.out))
    # On a terminal the text tells of closures itself.
    level = args.log_level or ("error" if args.quiet or screen else "info")
    log = configure(environ, level=level, form=args.log_format, secrets=secrets)
    sources = _sources(args)
    options = options_from(args.option)
    credential = credential_from(args.api_key, environ, learn=secrets.add, exit_code=Exit.USAGE)
    settings = Settings()
    deepgram = Deepgram(args.url or environ.get("DEEPGRAM_URL") or URL, credential, settings=settings.session, environ=environ)
    for warning in deepgram.check():
        log.warning("key_exposed", problem=warning)

    with ExitStack() as stack:
        tap = stack.enter_context(saved(Path(args.save_sent), log)) if args.save_sent else None
        specs = [
            Spec(
                call_id=call_id,
                source=source,
                offer=deepgram.offer(options),
                settings=settings,
                realtime=args.pace == "realtime",
                raw=args.raw,
                tap=tap,
            )
            for call_id, source in zip(call_ids(args.source, args.call_id), sources, strict=True)
        ]
        show = ScreenSink(log=log, colour=wants_colour(sys.stdout, environ)) if screen else None
        sinks: list[Sink] = [] if show is None else [show]
        if args.out:
            sinks.append(named_file_sink(Path(args.out), log=log, form=form, interims=form == "jsonl"))
        elif show is None:
            sinks.append(stdout_sink(log=log, form=form, interims=form == "jsonl"))
        body = partial(_calls, specs=specs, show=show)
        pool = Pool(total_bytes(settings.buffer))
        return trio.run(
            partial(
                running, body, sinks, log=log, tell=tell, pool=pool, chance=random.Random(os.urandom(16)),
                signals=of_this_process,
            )
        )  # fmt: skip


def tell(problem: Problem, call_id: str = "") -> None:
    """One line for a person."""
    of = f" {plain(call_id)}:" if call_id else ""
    say(f"stream-supervisor:{of} {problem}")


async def _calls(these: Running, *, specs: Sequence[Spec], show: ScreenSink | None) -> None:
    def stop() -> None:
        waits = [
            f"{call.heard - call.acknowledged:.1f} s of audio of {plain(call.spec.call_id)}"
            for call in these.calls.values()
            if call.opened.is_set()
        ]
        say(f"ending: waiting for the last results of {' and '.join(waits) or 'nothing'}; once more to end now")
        these.stop()

    these.steps[:] = [stop, these.abort]
    for spec in specs:
        if these.stopping:
            break
        call = Call(spec, these.world)
        async with trio.open_nursery() as watching:
            if show:
                watching.start_soon(_show_progress, call, show)
            await these.call(call)
            watching.cancel_scope.cancel("the call has ended")


async def _show_progress(call: Call, show: ScreenSink) -> None:
    await call.opened.wait()
    while True:
        await trio.sleep(STATUS_EVERY)
        show.progress(call.acknowledged, call.left)


def _sources(args: Namespace) -> list[Source]:
    if args.source.count("-") > 1:
        raise Problem("stdin is named twice", "it can be read once")
    if len(args.source) > 1 and args.save_sent:
        raise Problem("--save-sent with several sources", "transcribe one at a time")
    for kept in filter(None, (args.save_sent, args.out)):
        if any(_same_file(kept, name) for name in args.source):
            raise Problem(f"{plain(kept)} is the source itself, and would be overwritten", "name another file")
    return [
        source_from(
            name, encoding=args.encoding, sample_rate=args.sample_rate, channels=args.channels, live=args.live
        )
        for name in args.source
    ]


def _same_file(path: str, source: str) -> bool:
    try:
        return Path(path).samefile(source.removeprefix("file:"))
    except (OSError, ValueError):
        return False


def call_ids(names: Sequence[str], given: str | None) -> list[str]:
    """An id for each call: the given one, or what its source is called; numbered where that is not enough.

    >>> call_ids(["/a/one.wav", "-", "/b/one.wav"], None), call_ids(["a.wav", "b.wav"], "x")
    (['one', 'stdin', 'one-2'], ['x', 'x-2'])
    """
    ids: list[str] = []
    for name in names:
        base = given or _name(name)
        number, call_id = 1, base
        while call_id in ids:
            number += 1
            call_id = f"{base}-{number}"
        ids.append(call_id)
    return ids


def _name(source: str) -> str:
    if source == "-":
        return "stdin"
    kind, _, rest = source.partition(":")
    if kind == "command":
        return "command"
    return PurePath(rest if kind in ("file", "fifo") and rest else source).stem or "call"
