"""`python -m supervisor.emulator SECONDS`: numbered audio on standard output, as it is spoken, for an emulator to hear."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from ..core.audio import SAMPLE_BYTES, AudioFormat
from ..core.problem import Exit
from ..printing import forsake, say
from .numbered import LONGEST, SALTS, numbered

PIECE = 0.1  # seconds
PROGRAM = "python -m supervisor.emulator"


class Parser(argparse.ArgumentParser):
    """Answers a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        say(f"{PROGRAM}: {message}: see --help")
        raise SystemExit(Exit.USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(prog=PROGRAM, description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--encoding", choices=tuple(SAMPLE_BYTES), default="linear16")
    parser.add_argument("--sample-rate", type=int, default=16000)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--salt", type=int, default=0, help="tells one call's audio from another's")
    parser.add_argument("--at-once", action="store_true", help="without waiting for it to be spoken")
    args = parser.parse_args(argv)
    try:
        audio = AudioFormat(args.encoding, args.sample_rate, args.channels)
        end = audio.frames(args.seconds)
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    longest = LONGEST // audio.frame_bytes
    if not 0 <= end <= longest:
        parser.error(f"seconds are from 0 to {audio.seconds(longest):.0f}")
    if not 0 <= args.salt < SALTS:
        parser.error(f"a salt is from 0 to {SALTS - 1}")
    try:
        _speak(audio, args.salt, end, args.at_once)
    except (BrokenPipeError, KeyboardInterrupt):
        forsake(sys.stdout)
    return 0


def _speak(audio: AudioFormat, salt: int, end: int, at_once: bool) -> None:
    began, at, size = time.monotonic(), 0, audio.frame_bytes
    while at < end:
        frames = min(max(1, audio.frames(PIECE)), end - at)
        sys.stdout.buffer.write(numbered(salt, at * size, frames * size))
        sys.stdout.buffer.flush()
        at += frames
        if not at_once:
            time.sleep(max(0.0, began + audio.seconds(at) - time.monotonic()))


if __name__ == "__main__":
    sys.exit(main())
