"""`emulate audiosocket`: calls as an Asterisk places them, to rehearse without a telephone."""

from __future__ import annotations

import uuid
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import trio

from ..core.audio import AudioFormat
from ..core.plain import plain
from ..core.problem import Exit, Problem
from ..core.unwrap import Declared, Unwrap
from ..emulator.asterisk import KINDS, PTIME, Hold, Leg, Payload
from ..emulator.callers import place
from ..emulator.g711 import to_linear
from ..emulator.numbered import numbered
from ..printing import put
from ..stopping import on_signals

MOST = 5000  # calls of one process
LONGEST = 1024**3  # bytes of a file
USAGE = "emulate audiosocket FILE --to HOST:PORT"


def run(args: Namespace) -> int:
    """Place the calls, and say how each came out; 69 if one was torn down. Raises Problem."""
    if len(args.what) != 2 or args.what[0] != "audiosocket":
        raise Problem(f"there is nothing to emulate called {plain(' '.join(args.what), 60)!r}", USAGE)
    if args.to is None:
        raise Problem("nothing says where to call", USAGE)
    host, port = _address(args.to)
    if not 1 <= args.calls <= MOST:
        raise Problem(f"there cannot be {args.calls} calls", f"1 to {MOST}")
    holds = tuple(map(_hold, args.hold))
    legs = _legs(args.what[1], args.calls, holds, args.mislabelled)
    trio.run(_place, legs, host, port)
    for leg in legs:
        put(f"{leg.uuid}: {leg.seconds:.2f} s sent, {leg.heard} frames came back: {leg.verdict or 'interrupted'}")
    return int(Exit.GAVE_UP) if any(leg.torn_down for leg in legs) else 0


async def _place(legs: Sequence[Leg], host: str, port: int) -> None:
    async with trio.open_nursery() as nursery:
        stop = partial(nursery.cancel_scope.cancel, "told to end")
        await nursery.start(partial(on_signals, [stop], at_least={}))
        await place(legs, host, port)
        nursery.cancel_scope.cancel("all calls have ended")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise Problem(f"{plain(text, 60)!r} is no address", "such as --to 127.0.0.1:9092")
    return host.strip("[]"), int(port)


def _hold(text: str) -> Hold:
    after, _, seconds = text.partition(":")
    try:
        hold = Hold(float(after), float(seconds))
    except ValueError:
        hold = Hold(-1, -1)
    if not (0 <= hold.after < 1e6 and 0 <= hold.seconds < 1e6):
        raise Problem(f"{plain(text, 60)!r} is no hold", "such as --hold 10:30, thirty seconds after the tenth")
    return hold


def _legs(name: str, count: int, holds: tuple[Hold, ...], mislabelled: bool) -> list[Leg]:
    kind, _, seconds = name.partition(":")
    if kind == "numbered" and seconds:
        return [Leg(*_numbered(seconds, number, mislabelled), holds) for number in range(count)]
    payload, rate = _file(Path(name), mislabelled)
    return [Leg(uuid.uuid4(), payload, KINDS[rate], holds) for _ in range(count)]


def _numbered(text: str, salt: int, mislabelled: bool) -> tuple[uuid.UUID, Payload, int]:
    """Each call with words of its own."""
    try:
        frames = round(float(text) / PTIME)
    except (ValueError, OverflowError):
        frames = -1
    if not 0 <= frames <= 400_000 / PTIME:
        raise Problem(f"numbered:{plain(text, 20)} is no length", "numbered:SECONDS")
    size = round(8000 * PTIME) * (1 if mislabelled else 2)
    return uuid.uuid4(), lambda n: numbered(salt, n * size, size) if n < frames else b"", KINDS[8000]


def _file(path: Path, mislabelled: bool) -> tuple[Payload, int]:
    """A WAV's audio, in frames; raises Problem where an Asterisk would have to convert it first."""
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST)
    except OSError as error:
        raise Problem(f"cannot read {plain(str(path))}: {error.strerror}", "name a WAV, or numbered:SECONDS", Exit.NO_INPUT) from None
    unwrap = Unwrap(str(path), Declared())
    audio = b"".join(_unwrapped(unwrap, data))
    found = unwrap.format or AudioFormat()
    if found.channels != 1 or found.sample_rate not in KINDS or found.encoding == "linear32":
        said = f"{found.encoding}, {found.sample_rate} Hz, {found.channels} channel{'s' * (found.channels > 1)}"
        hint = f"convert it: ffmpeg -i {plain(str(path))} -ac 1 -ar 8000 -c:a pcm_s16le OTHER.wav"
        raise Problem(f"{plain(str(path))} is {said}, which AudioSocket has no kind for", hint, Exit.BAD_AUDIO)
    if mislabelled and (found.encoding == "linear16" or found.sample_rate != 8000):
        raise Problem("--mislabelled needs G.711 of 8000 Hz", "a WAV of mulaw or alaw, or numbered:SECONDS", Exit.BAD_AUDIO)
    if found.encoding != "linear16" and not mislabelled:
        audio = to_linear(audio, found.encoding)
    size = round(found.sample_rate * PTIME) * (1 if mislabelled else 2)
    return lambda n: audio[n * size : (n + 1) * size], found.sample_rate


def _unwrapped(unwrap: Unwrap, data: bytes) -> Iterator[bytes]:
    yield unwrap.feed(data)
    yield unwrap.end()
