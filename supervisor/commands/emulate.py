"""`emulate`: a server on this machine that speaks Deepgram's protocol, and misbehaves as it is told."""

from __future__ import annotations

import errno
from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import partial

import trio

from ..core.plain import plain
from ..core.problem import Exit, Problem
from ..emulator.engine import Engine, NumberedEngine
from ..emulator.plan import Plan, read_plan
from ..emulator.proof import CallProof, total
from ..emulator.server import Emulator, listen
from ..logs import configure
from ..printing import put, say
from ..stopping import on_signals
from . import calling


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Serve until a signal, and then say what came; or place calls to their end. Raises Problem."""
    if args.what:
        return calling.run(args)
    if args.to is not None:
        raise Problem("--to is for what it plays the part of an Asterisk to", "emulate audiosocket FILE --to HOST:PORT")
    level = args.log_level or ("error" if args.quiet else "info")
    log = configure(environ, level=level, form=args.log_format, clock=None)  # its lines are what it is run for
    plan = read_plan(args.faults) if args.faults else Plan()
    if not 0 <= args.port <= 65535:
        raise Problem(f"there is no port {args.port}", "give one from 1 to 65535, or 0 for any that is free")
    emulator = Emulator(plan, engine=_engine(args.engine), seed=args.seed, log=log)
    trio.run(_serve, emulator, args.host, args.port)
    for line in summary(emulator):
        put(line)
    return 0


def _engine(name: str) -> Engine:
    if name == "numbered":
        return NumberedEngine()
    from ..emulator.sphinx import SphinxEngine  # late, for its recogniser is an extra

    return SphinxEngine()


async def _serve(emulator: Emulator, host: str, port: int) -> None:
    async with trio.open_nursery() as nursery:
        stop = partial(nursery.cancel_scope.cancel, "told to end")
        await nursery.start(partial(on_signals, [stop], at_least={}))
        try:
            chosen = await nursery.start(partial(listen, emulator, host=host, port=port))
        except OSError as error:
            raise _not_listening(port, error) from None
        try:
            put(f"ws://{f'[{host}]' if ':' in host else host}:{chosen}/v1/listen")
        except BrokenPipeError:
            raise Problem("nobody reads standard output", "it says where to connect to", Exit.OUTPUT) from None
        say("Ctrl-C ends it and tells what came.")


def _not_listening(port: int, error: OSError) -> Problem:
    taken = error.errno == errno.EADDRINUSE
    why = "another program has it" if taken else error.strerror or str(error)
    return Problem(f"cannot listen on port {port}: {why}", "choose another --port", Exit.USAGE)


def summary(emulator: Emulator) -> Iterator[str]:
    """What came and what was told, a line for each call."""
    for name in emulator.proof.calls:
        proof = emulator.proof.call(name)
        yield f"{plain(name) or 'a call without a name'}: {_of(proof)}"


def _of(proof: CallProof) -> str:
    audio = next((each.audio for each in proof.connections if each.audio), None)
    accepted = sum(each.status == 101 for each in proof.connections)
    count = len(proof.connections)
    parts = [f"{count} connection{'s' * (count != 1)}, {accepted} accepted"]
    if audio:
        heard = proof.received
        parts.append(f"{audio.seconds(sum(each.frames for each in proof.connections)):.2f} s of audio")
        if heard:
            end = heard[-1][1]
            parts += [
                f"numbered up to {audio.seconds(end):.2f} s",
                f"{audio.seconds(end - total(heard)):.2f} s of it missing",
                f"{audio.seconds(total(proof.not_final(end))):.2f} s not final",
                f"{len(proof.out_of_order)} steps back",
            ]
        parts.append(f"{audio.seconds(proof.silent_frames):.2f} s of silence")
    if proof.zero_length:
        parts.append(f"{proof.zero_length} empty messages")
    return ", ".join(parts)
