"""Asterisk's AudioSocket: frames of a kind (one byte), a length (two, big-endian) and a payload.

Asterisk sends its call's UUID first and then a frame every 20 ms; its end of the call is the end of the connection. It
is never sent anything but audio and the order to hang up, for any other kind makes it tear the caller's call down
(res_audiosocket.c). Samples are little-endian.
"""

from __future__ import annotations

from uuid import UUID

from ..audio import AudioFormat

HANGUP, IDENTITY, DIGIT, ERROR = 0x00, 0x01, 0x03, 0xFF
RATES = {0x10: 8000, 0x11: 12000, 0x12: 16000, 0x13: 24000, 0x14: 32000, 0x15: 44100, 0x16: 48000, 0x17: 96000, 0x18: 192000}
SLIN = 0x10
HEAD = 3
FRAME = 0.02  # seconds in a frame of Asterisk's
MISLABELLED = 160  # bytes of 20 ms of G.711, which Dial(AudioSocket/...) without c(slin) sends as if they were SLIN


class AudioSocket:
    """What one connection has brought so far. `override`: what frames of kind 0x10 really hold, mulaw or alaw.

    After a `fault` (one line) or an end nothing more is read from what comes.

    >>> call = AudioSocket()
    >>> call.receive(bytes.fromhex("010010 40325ec25efd4bd3805f53576e581d13 100004 0102"))
    b''
    >>> str(call.uuid), call.receive(bytes.fromhex("0304 030001 35")), call.format.sample_rate, call.digits
    ('40325ec2-5efd-4bd3-805f-53576e581d13', b'\\x01\\x02\\x03\\x04', 8000, 1)
    """

    def __init__(self, override: str | None = None) -> None:
        self.override = override
        self.uuid: UUID | None = None
        self.format: AudioFormat | None = None  # known with the first frame of audio
        self.kind = SLIN  # of its audio, and so of what is sent back
        self.digits = 0  # that were dialled; which ones is nobody's business
        self.ended = False  # it has hung up, or says that it has failed
        self.fault = ""
        self.frames = 0  # of audio
        self._short = True  # every one of them had as many bytes as one of G.711
        self._rest = b""

    @property
    def mislabelled(self) -> bool:
        """Every frame has the size of 20 ms of G.711; at 20 ms a frame that is what it is."""
        return self.frames > 0 and self._short and self.kind == SLIN and self.override is None

    def receive(self, data: bytes) -> bytes:
        """The audio in what comes next; what came before a fault is given too."""
        if self.fault or self.ended:
            return b""
        buffer, at, audio = self._rest + data, 0, []
        while len(buffer) - at >= HEAD:
            kind, length = buffer[at], buffer[at + 1] << 8 | buffer[at + 2]
            if fault := self._check(kind, length):
                self.fault, at = fault, len(buffer)
                break
            end = at + HEAD + length
            if end > len(buffer):
                break
            if kind in RATES:
                audio.append(buffer[at + HEAD : end])
                if length:
                    self._heard(kind, length)
            else:
                self._told(kind, buffer[at + HEAD : end])
                if self.ended:
                    at = len(buffer)
                    break
            at = end
        self._rest = buffer[at:]
        return b"".join(audio)

    def _check(self, kind: int, length: int) -> str:
        """What is wrong with a frame that begins like this."""
        if self.uuid is None and kind != IDENTITY:
            return f"its first frame is of kind 0x{kind:02x}, not a UUID"
        if kind in RATES:
            if self.format and length and kind != self.kind:
                return f"its audio changes from kind 0x{self.kind:02x} to 0x{kind:02x} within a call"
            if length % 2 and not (self.override and kind == SLIN):
                return f"a frame of audio has {length} bytes, which are no whole samples"
        elif kind == IDENTITY:
            if self.uuid is not None:
                return "a second UUID comes within a call"
            if length != 16:
                return f"its UUID has {length} bytes rather than 16"
        elif kind == DIGIT:
            if length != 1:
                return f"a digit has {length} bytes rather than one"
        elif kind not in (HANGUP, ERROR):
            return f"a frame has the unknown kind 0x{kind:02x}"
        return ""

    def _heard(self, kind: int, length: int) -> None:
        if self.format is None:
            self.kind = kind
            overridden = self.override if kind == SLIN else None
            self.format = AudioFormat(overridden or "linear16", RATES[kind])
        self.frames += 1
        self._short = self._short and length == MISLABELLED

    def _told(self, kind: int, payload: bytes) -> None:
        if kind == IDENTITY:
            self.uuid = UUID(bytes=payload)
        elif kind == DIGIT:
            self.digits += 1
        else:
            self.ended = True


def silence(kind: int = SLIN) -> bytes:
    """A frame of 20 ms without a sound, for the caller's end to hear."""
    size = 2 * round(RATES[kind] * FRAME)
    return bytes([kind]) + size.to_bytes(2, "big") + bytes(size)
