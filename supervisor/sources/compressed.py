"""Compressed files as linear16, and the only module that knows soundfile (which is slow to import, so late).

Samples are read as floats and clipped here: libsndfile's own conversion to integers lets what a lossy codec overshoots
wrap around, so that the loudest sample becomes the opposite one.

soundfile seeks after each read to where it is already, which costs an MP3 the bits that a frame has left in those
before it, and so most of its audio. It leaves alone what cannot seek, and a file that is read once need not.
"""

from __future__ import annotations

import os
from typing import Any

from ..core.audio import AudioFormat
from ..core.plain import plain
from ..core.problem import Exit, Problem

# What core.magic calls them: the containers that libsndfile may know the content of.
CONTAINERS = ("WAV", "FLAC", "Ogg", "MP3", "AIFF", "AU", "CAF", "RIFX", "Wave64")
PIECE = 0.1  # seconds decoded at a time, so that an error loses no more of the good audio before it
PIECES = 10  # in one read
SHORT = 0.5  # seconds that a length estimated from a compressed file may be wrong by


class Decoder:
    """Decodes an open file, in whatever thread calls it; one call at a time.

    Raises Problem where the file cannot be decoded, and from `read` where it cannot be decoded any further.
    """

    def __init__(self, name: str, file: int, hint: str) -> None:
        self.name = plain(name)
        try:
            import numpy as np
            import soundfile
        except (ImportError, OSError) as error:
            raise Problem(f"{self.name} needs soundfile to be decoded", plain(str(error)), Exit.BAD_AUDIO) from None
        self._np: Any = np
        self._error: Any = soundfile.SoundFileError
        os.lseek(file, 0, os.SEEK_SET)
        try:
            self._sound: Any = soundfile.SoundFile(file, closefd=False)
        except soundfile.SoundFileError as error:
            raise Problem(f"{self.name} cannot be decoded ({_words(error)})", hint, Exit.BAD_AUDIO) from None
        self._sound.seekable = lambda: False
        self.format = AudioFormat("linear16", self._sound.samplerate, self._sound.channels)
        self.warnings: list[str] = []
        self._buffer = np.empty((max(1, self.format.frames(PIECE)), self.format.channels), dtype="float32")
        self._given = 0  # sample frames
        self._failed: Problem | None = None

    def read(self) -> bytes:
        """About a second of audio, b"" at the end."""
        pieces: list[bytes] = []
        while len(pieces) < PIECES and self._failed is None:
            try:
                samples = self._sound.read(out=self._buffer)
            except self._error as error:
                at = self._given / self.format.sample_rate
                cause = f"{self.name} is damaged {at:.1f} s after its beginning ({_words(error)})"
                self._failed = Problem(cause, "what came before it was used", Exit.BAD_AUDIO)
                break
            if not len(samples):
                break
            self._given += len(samples)
            np = self._np
            whole = np.clip(np.rint(np.nan_to_num(samples) * 32768.0), -32768, 32767)
            pieces.append(whole.astype("<i2").tobytes())
        if self._failed is not None and not pieces:
            raise self._failed
        return b"".join(pieces)

    def seconds(self, size: int) -> float:
        """As its container says, or estimates; `size` tells nothing of compressed audio."""
        del size
        return float(self._sound.frames / self.format.sample_rate)

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        """Compare what came with what the file announced."""
        if not self._given and self._failed is None:
            raise Problem(f"{self.name} is empty", exit_code=Exit.BAD_AUDIO)
        short = (self._sound.frames - self._given) / self.format.sample_rate
        if SHORT < short < 1e9 and self._failed is None:  # a stream's header announces no length, or an absurd one
            self.warnings.append(f"{self.name} is cut short, {short:.1f} s before the end that its header announces")
        return b""

    def close(self) -> None:
        self._sound.close()


def _words(error: Exception) -> str:
    return plain(str(getattr(error, "error_string", "") or "libsndfile gives no reason")).rstrip(".")
