"""`python -m supervisor.emulator SECONDS`: numbered audio on standard output, as it is spoken, for an emulator to hear."""

from __future__ import annotations

import argparse
import sys
import time

from ..core.audio import SAMPLE_BYTES, AudioFormat
from .numbered import numbered

PIECE = 0.1  # seconds


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m supervisor.emulator", description=__doc__)
    arguments.add_argument("seconds", type=float)
    arguments.add_argument("--encoding", choices=tuple(SAMPLE_BYTES), default="linear16")
    arguments.add_argument("--sample-rate", type=int, default=16000)
    arguments.add_argument("--channels", type=int, default=1)
    arguments.add_argument("--salt", type=int, default=0, help="tells one call's audio from another's")
    arguments.add_argument("--at-once", action="store_true", help="without waiting for it to be spoken")
    args = arguments.parse_args()
    audio = AudioFormat(args.encoding, args.sample_rate, args.channels)
    began, at, end = time.monotonic(), 0, audio.frames(args.seconds)
    try:
        while at < end:
            frames = min(audio.frames(PIECE), end - at)
            sys.stdout.buffer.write(numbered(args.salt, at * audio.frame_bytes, frames * audio.frame_bytes))
            sys.stdout.buffer.flush()
            at += frames
            if not args.at_once:
                time.sleep(max(0.0, began + audio.seconds(at) - time.monotonic()))
    except (BrokenPipeError, KeyboardInterrupt):
        sys.stderr.close()  # or Python would complain of the pipe once more


if __name__ == "__main__":
    main()
