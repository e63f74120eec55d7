"""The audio that went out, as a WAV to be played: the first thing to do when a server cannot decode it.

It is what the server was sent, not the call: what was sent again is in it twice, and injected silence too. A file that
cannot be written any more is told of once, and no call notices.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedWriter
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from .core.audio import AudioFormat
from .core.plain import plain
from .core.problem import Exit, Problem
from .core.wav import header

Tap = Callable[[AudioFormat], Callable[[bytes], None]]


@contextmanager
def saved(path: Path, log: FilteringBoundLogger) -> Iterator[Tap]:
    """A tap that writes into a file, which is a whole WAV once the context has ended. Raises Problem."""
    try:
        file = open(path, "wb", opener=partial(os.open, mode=0o600))  # noqa: SIM115 - closed with the recording
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Problem(f"cannot save the audio to {plain(str(path))}: {why}", "name another file", Exit.OUTPUT) from None
    recording = _Recording(file, log)
    try:
        yield recording.tap
    finally:
        recording.close()


class _Recording:
    def __init__(self, file: BufferedWriter, log: FilteringBoundLogger) -> None:
        self._file = file
        self._log = log
        self._format: AudioFormat | None = None
        self._size = 0
        self._broken = False

    def tap(self, audio_format: AudioFormat) -> Callable[[bytes], None]:
        self._format = audio_format
        self._put(header(audio_format))
        return self._save

    def close(self) -> None:
        """Fill in what only the end knows, where that can be: a pipe is played without."""
        try:
            if self._format and not self._broken and self._file.seekable():
                self._put(b"\0" * (self._size % 2))
                self._file.seek(0)
                self._put(header(self._format, self._size))
        except OSError as error:
            self._fail(error)
        try:
            self._file.close()  # which writes what is left, and closes even if it cannot
        except OSError as error:
            self._fail(error)

    def _save(self, audio: bytes) -> None:
        self._size += len(audio)
        self._put(audio)

    def _put(self, data: bytes) -> None:
        if not self._broken:
            try:
                self._file.write(data)
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._broken:
            self._log.warning("sent_audio_not_saved", path=str(self._file.name), reason=error.strerror)
        self._broken = True
