"""The line of JSON with which raw audio over TCP may begin, and say what it is."""

from __future__ import annotations

import msgspec

from ..audio import SAMPLE_BYTES
from ..plain import plain

LONGEST = 64 * 1024  # bytes, the end of the line included


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it may say; all of it may be left to the config."""

    call_id: str | None = None
    encoding: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    metadata: dict[str, str] = {}


class WrongHeader(Exception):
    """One line that says what is wrong with it."""


def parse_header(line: bytes) -> Header:
    """Raises WrongHeader.

    >>> parse_header(b'{"call_id": "a", "encoding": "mulaw", "sample_rate": 8000}').encoding
    'mulaw'
    """
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongHeader(plain(f"the header line cannot be read: {error}", 300)) from None
    if header.call_id is not None and not (0 < len(header.call_id) <= 200 and header.call_id.isprintable()):
        raise WrongHeader("call_id is empty, longer than 200 characters, or not printable")
    if header.encoding is not None and header.encoding not in SAMPLE_BYTES:
        raise WrongHeader(f"encoding is none of {', '.join(SAMPLE_BYTES)}")
    if header.sample_rate is not None and not 1000 <= header.sample_rate <= 384_000:
        raise WrongHeader("sample_rate is not from 1000 to 384000")
    if header.channels is not None and not 1 <= header.channels <= 64:
        raise WrongHeader("channels is not from 1 to 64")
    if (header.encoding is None) != (header.sample_rate is None):
        raise WrongHeader("encoding and sample_rate are needed both, or neither")
    return header
