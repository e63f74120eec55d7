"""WAV headers: read as they come, however they are cut, and written before the length is known.

A WAV is a list of chunks (Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991):
`fmt ` says what the samples are, `data` is the audio, the rest is skipped. The surprise: sizes lie. A writer that
cannot seek puts 0, 0xFFFFFFFF or something near 2 GiB, and the audio then lasts until the stream ends.

Samples that Deepgram has no raw encoding for (8, 24 and 32 bit integers) are narrowed or widened to linear16.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .audio import SAMPLE_BYTES, AudioFormat

HEAD = 12  # the bytes that tell a WAV from anything else
UNKNOWN = 0xFFFFFFFF
STREAMED = 0x7FFF0000  # from here on a size is a placeholder: arecord, sox and ffmpeg each have their own
LONGEST_HEADER = 1 << 24  # bytes; pictures in tags are large, an endless chunk before the audio is a fault
EXTENSIBLE = 0xFFFE
SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")  # KSDATAFORMAT_SUBTYPE_*, after its first two bytes
TAGS = {"linear16": 1, "linear32": 3, "alaw": 6, "mulaw": 7}
CODECS = {1: "PCM", 2: "ADPCM", 3: "float", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x55: "MP3"}
FLIP = bytes(byte ^ 0x80 for byte in range(256))  # 8 bit samples are unsigned, all others are signed


class WavError(ValueError):
    """Not a WAV, a broken one, or one whose samples are neither raw nor easily made so; reads on from a name."""


@dataclass(frozen=True, slots=True)
class Wav:
    """What a header says."""

    format: AudioFormat  # of the audio as the reader gives it
    width: int  # bytes of one sample as it is stored
    data_bytes: int | None  # None: to the end of the stream

    @property
    def frame_bytes(self) -> int:
        """The bytes of one sample frame as it is stored."""
        return self.width * self.format.channels


def may_begin(head: bytes) -> bool:
    """Whether these first bytes are a WAV's, as far as they go.

    >>> may_begin(b"RI"), may_begin(b"RIFF....WAVE"), may_begin(b"RIFF....AVI "), may_begin(b"OggS")
    (True, True, False, False)
    """
    forms = any(form.startswith(head[:4]) for form in (b"RIFF", b"RF64", b"BW64"))
    return forms and b"WAVE".startswith(head[8:HEAD])


def linear16(samples: bytes, width: int) -> bytes:
    """Whole little-endian integer samples of `width` bytes as 16 bits: the upper ones, where there are more.

    >>> linear16(b"\\x80\\xff", 1).hex(), linear16(b"\\x01\\x02\\x03", 3).hex(), linear16(b"\\x01\\x02\\x03\\x04", 4).hex()
    ('0000007f', '0203', '0304')
    """
    out = bytearray(2 * (len(samples) // width))
    if width == 1:
        out[1::2] = samples.translate(FLIP)
    else:
        out[0::2] = samples[width - 2 :: width]
        out[1::2] = samples[width - 1 :: width]
    return bytes(out)


def header(format: AudioFormat, data_bytes: int | None = None) -> bytes:  # noqa: A002 - it is what it is called
    """The header of a WAV of raw audio, equally long whatever `data_bytes` is.

    So a file is written in one pass: this without a length, the audio, a zero byte where the audio's length is odd,
    and at the end this again, with the length, over the first. A file that was never finished can still be played.
    """
    tag, frame = TAGS[format.encoding], format.frame_bytes
    bits = 8 * SAMPLE_BYTES[format.encoding]
    byte_rate = min(format.sample_rate * frame, UNKNOWN)
    fmt = struct.pack("<HHIIHH", tag, format.channels, format.sample_rate, byte_rate, frame, bits)
    frames = UNKNOWN if data_bytes is None else min(data_bytes // frame, UNKNOWN)
    if tag != TAGS["linear16"]:  # all but PCM have an extension, here of no bytes, and tell their number of frames
        fmt += b"\0\0"
    chunks = struct.pack("<4sI", b"fmt ", len(fmt)) + fmt
    if tag != TAGS["linear16"]:
        chunks += struct.pack("<4sII", b"fact", 4, frames)
    riff = UNKNOWN if data_bytes is None else 4 + len(chunks) + 8 + data_bytes + data_bytes % 2
    if data_bytes is None or riff > UNKNOWN:
        riff = data_bytes = UNKNOWN
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + chunks + struct.pack("<4sI", b"data", data_bytes)


class WavReader:
    """Takes a WAV in pieces of any size, and gives its audio.

    >>> reader = WavReader()
    >>> reader.feed(header(AudioFormat("alaw", 8000))[:20]), reader.wav
    (b'', None)
    >>> reader.feed(header(AudioFormat("alaw", 8000))[20:] + b"audio"), reader.wav.format.encoding
    (b'audio', 'alaw')
    """

    def __init__(self) -> None:
        self.wav: Wav | None = None  # once the header is read
        self.stored = 0  # bytes of audio so far, as they are stored
        self.after = b""  # the first bytes that followed the audio
        self._pending = bytearray()  # of the header
        self._begun = False
        self._skip = 0  # bytes left of a chunk that nobody needs
        self._passed = 0  # bytes of header so far
        self._format: tuple[AudioFormat, int] | None = None
        self._long_data: int | None = None  # of RF64, whose sizes are in a chunk of their own
        self._part = b""  # less than a sample that is to be made linear16

    @property
    def missing(self) -> int:
        """The bytes of audio that the header announced and that have not come."""
        return 0 if self.wav is None or self.wav.data_bytes is None else self.wav.data_bytes - self.stored

    def feed(self, data: bytes) -> bytes:
        """The audio in what comes next, perhaps none; raises WavError."""
        if self.wav is None:
            self._pending += data
            while self._next_chunk():
                pass
            if self.wav is None:
                return b""
            data = bytes(self._pending)
            self._pending.clear()
        if self.wav.data_bytes is not None and len(data) > self.missing:
            data, after = data[: self.missing], data[self.missing :]
            self.after = (self.after + after)[:HEAD]
        self.stored += len(data)
        if self.wav.format.encoding != "linear16" or self.wav.width == SAMPLE_BYTES["linear16"]:
            return data
        data = self._part + data
        whole = len(data) - len(data) % self.wav.width
        self._part = data[whole:]
        return linear16(data[:whole], self.wav.width)

    def _next_chunk(self) -> bool:
        """Take one step through the header; tell whether there may be another."""
        gone = min(self._skip, len(self._pending))
        del self._pending[:gone]
        self._skip -= gone
        if not self._begun:
            return self._begin()
        if self._skip or len(self._pending) < 8:
            return False
        name, size = struct.unpack_from("<4sI", self._pending)
        if name == b"data":
            self._begin_audio(size)
            return False
        needed = {b"fmt ": 40, b"ds64": 16}.get(name, 0)
        if len(self._pending) < 8 + min(size, needed):
            return False
        body = bytes(self._pending[8 : 8 + min(size, needed)])
        if name == b"fmt ":
            self._format = _format(body)
        elif name == b"ds64" and len(body) == needed:
            self._long_data = struct.unpack("<QQ", body)[1]
        self._skip = 8 + size + size % 2
        self._passed += self._skip
        if self._passed > LONGEST_HEADER:
            raise WavError("has a WAV header without end")
        return True

    def _begin(self) -> bool:
        if not may_begin(bytes(self._pending[:HEAD])):
            raise WavError("is not a WAV")
        if len(self._pending) < HEAD:
            return False
        self._begun, self._skip = True, HEAD
        return True

    def _begin_audio(self, size: int) -> None:
        if self._format is None:
            raise WavError("is a WAV that does not say what its samples are")
        del self._pending[:8]
        known: int | None = size if 0 < size < STREAMED else None
        if size == UNKNOWN and self._long_data:
            known = self._long_data
        self.wav = Wav(*self._format, known)


def _format(fmt: bytes) -> tuple[AudioFormat, int]:
    """What a `fmt ` chunk says: the audio as the reader gives it, and the width of a stored sample."""
    if len(fmt) < 16:
        raise WavError("is a WAV whose format is cut short")
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", fmt)
    if not (0 < channels <= 255 and 0 < rate <= 1_000_000):
        raise WavError(f"is a WAV of {channels} channels at {rate} Hz")
    if tag == EXTENSIBLE and len(fmt) == 40 and fmt[26:] == SUBFORMAT:
        tag = struct.unpack_from("<H", fmt, 24)[0]
    # 12 or 20 bits are stored in the upper ones of 2 or 3 bytes; where the two fields disagree, `bits` is right more often.
    width = bits // 8 if bits % 8 == 0 else align // channels
    if tag == TAGS["linear16"] and 1 <= width <= 4:
        return AudioFormat("linear16", rate, channels), width
    for encoding in ("linear32", "alaw", "mulaw"):
        if tag == TAGS[encoding] and width == SAMPLE_BYTES[encoding]:
            return AudioFormat(encoding, rate, channels), width
    raise WavError(f"is a WAV of {bits} bit {CODECS.get(tag, f'samples of format 0x{tag:04x}')}")
