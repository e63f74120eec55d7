"""What commands say to people, on streams that may be closed, full, deserted or unable to spell a word.

Standard output is what was asked for: where it cannot be written, the command has failed. Standard error is only
commentary: where nobody takes it, it is dropped.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from .core.problem import Exit, Problem


def put(text: str) -> None:
    """Print it. Raises BrokenPipeError where the reader has left, and Problem for whatever else is in the way."""
    if sys.stdout is None:
        raise Problem("cannot write to standard output: it is closed", "redirect it to a file", Exit.OUTPUT)
    spell_everything(sys.stdout)
    try:
        print(text)
    except OSError as error:
        raise not_printed(error) from error
    flush()


def flush() -> None:
    """What was printed is out; raises like `put`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise not_printed(error) from error


def say(line: str) -> None:
    """On standard error, if that takes it."""
    if sys.stderr is None:  # `print` would take standard output instead
        return
    try:
        spell_everything(sys.stderr)
        print(line, file=sys.stderr, flush=True)
    except OSError:
        forsake(sys.stderr)


def not_printed(error: OSError) -> Exception:
    forsake(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return error
    return Problem(f"cannot write to standard output: {error.strerror}", "choose another place for it", Exit.OUTPUT)


def spell_everything(stream: TextIO) -> None:
    """A letter that the stream's encoding lacks is written as an escape, rather than ending the command."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def forsake(stream: TextIO | None) -> None:
    """What is left in the stream's buffer goes nowhere: Python would complain once more when it closes it."""
    try:
        if stream is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
    except (OSError, ValueError):  # no descriptor behind it
        pass
