"""G.711 into 16-bit samples (ITU-T G.711, tables 1a and 2a), as an Asterisk does for a codec that AudioSocket lacks."""

from __future__ import annotations

from functools import cache


def to_linear(audio: bytes, encoding: str) -> bytes:
    """Little-endian samples of 16 bits.

    >>> to_linear(bytes([0xFF, 0x00]), "mulaw").hex(), to_linear(bytes([0xD5, 0x2A]), "alaw").hex()
    ('00008482', '08000082')
    """
    table = _table(encoding)
    return b"".join([table[byte] for byte in audio])


@cache
def _table(encoding: str) -> tuple[bytes, ...]:
    decode = _mulaw if encoding == "mulaw" else _alaw
    return tuple(decode(byte).to_bytes(2, "little", signed=True) for byte in range(256))


def _mulaw(byte: int) -> int:
    byte ^= 0xFF
    magnitude = ((((byte & 0x0F) << 3) + 0x84) << (byte >> 4 & 7)) - 0x84
    return -magnitude if byte & 0x80 else magnitude


def _alaw(byte: int) -> int:
    byte ^= 0x55
    segment, low = byte >> 4 & 7, (byte & 0x0F) << 4
    magnitude = low + 8 if segment == 0 else (low + 0x108) << (segment - 1)
    return magnitude if byte & 0x80 else -magnitude
