"""Where one call's audio comes from: a file, stdin, a FIFO, a command; each gives a feed that is pulled."""

from __future__ import annotations

import difflib
import stat
import sys
from pathlib import Path

from ..core.audio import SAMPLE_BYTES
from ..core.plain import plain
from ..core.problem import Exit, Problem
from ..core.unwrap import Declared, ffmpeg
from .ahead import unreadable
from .command import CommandSource
from .feed import End, Feed, Filled, Source
from .file import FileSource
from .memory import MemorySource, Speaker
from .pipe import FifoSource, StdinSource

__all__ = [
    "CommandSource",
    "Declared",
    "End",
    "Feed",
    "FifoSource",
    "FileSource",
    "Filled",
    "MemorySource",
    "Source",
    "Speaker",
    "StdinSource",
    "source_from",
]

COMPRESSED = ("opus", "ogg-opus", "flac", "mp3", "speex", "amr-nb", "amr-wb", "g729", "aac")
HIGHEST_RATE = 384_000
ALIASES = {
    "s16le": "linear16",
    "pcm": "linear16",
    "l16": "linear16",
    "f32le": "linear32",
    "ulaw": "mulaw",
    "pcmu": "mulaw",
    "pcma": "alaw",
}


def source_from(
    argument: str,
    *,
    encoding: str | None = None,
    sample_rate: int | None = None,
    channels: int | None = None,
    live: bool | None = None,
) -> Source:
    """The source that a command line or a config names; raises Problem where it cannot be one.

    "-" is stdin; "command:...", "fifo:..." and "file:..." say what they are; anything else is a path, of a FIFO or of
    a file. A FIFO and a command are live unless told otherwise, a file and stdin are not.
    """
    declared = declare(encoding, sample_rate, channels)
    if argument == "-":
        if sys.__stdin__ is None:  # and its number may be another file's by now
            raise Problem("stdin is closed", "pipe audio into it, or name a file", Exit.NO_INPUT)
        return StdinSource(declared, bool(live))
    kind, colon, rest = argument.partition(":")
    if colon and kind == "command":
        command = CommandSource(rest, declared, live is not False)
        command.words()  # a command that cannot be read is found before any other source is run
        return command
    named = kind if colon and kind in ("file", "fifo") else ""
    path = rest if named else argument
    if not path:
        empty = f"{kind}:" if named else "an empty word"
        raise Problem(f"{empty} names no file", "name one, or - for stdin, or command:COMMAND")
    if "://" in path:
        scheme = plain(path.partition("://")[0])  # the rest may hold a password
        raise Problem(f"{scheme}://... is not a file", ffmpeg("URL"), Exit.USAGE)
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as error:
        error = error if isinstance(error, OSError) else FileNotFoundError(str(error))
        if named == "fifo" and isinstance(error, FileNotFoundError):
            raise Problem(f"there is no FIFO {plain(path)}", "make one with mkfifo", Exit.NO_INPUT) from None
        raise unreadable(f"file {plain(path)}", error) from None
    if stat.S_ISFIFO(mode):
        return FifoSource(path, declared, live is not False)
    if named == "fifo":
        raise Problem(f"{plain(path)} is not a FIFO", "make one with mkfifo", Exit.NO_INPUT)
    if stat.S_ISDIR(mode):
        raise unreadable(plain(path), IsADirectoryError())
    if stat.S_ISSOCK(mode):
        raise Problem(f"{plain(path)} is a socket", "connect with command:socat -u UNIX-CONNECT:PATH -", Exit.NO_INPUT)
    return FileSource(path, declared, bool(live))


def declare(encoding: str | None, sample_rate: int | None, channels: int | None) -> Declared:
    """What was said about the audio, checked; raises Problem."""
    if encoding is not None and encoding not in SAMPLE_BYTES:
        if encoding.lower() in COMPRESSED:
            raise Problem(f"{encoding} is compressed, and cannot be sent again from its middle", ffmpeg())
        near = difflib.get_close_matches(encoding.lower(), SAMPLE_BYTES, 1)
        name = ALIASES.get(encoding.lower()) or (near[0] if near else ", ".join(SAMPLE_BYTES))
        raise Problem(f"there is no encoding {plain(encoding)!r}", f"use {name}")
    for key, value in (("sample rate", sample_rate), ("channels", channels)):
        if value is not None and value < 1:
            raise Problem(f"{key} cannot be {value}", "give a positive number")
    if sample_rate is not None and sample_rate > HIGHEST_RATE:
        raise Problem(f"sample rate cannot be {sample_rate}", f"it is in Hz, and at most {HIGHEST_RATE}")
    return Declared(encoding, sample_rate, channels)
