"""How raw audio over TCP begins: perhaps with a line of JSON that says what it is."""

from __future__ import annotations

import msgspec

from ..audio import SAMPLE_BYTES
from ..plain import plain

LONGEST = 64 * 1024  # bytes, the end of the line included
BLANK = b" \t\r"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it may say; all of it may be left to the config."""

    call_id: str | None = None
    encoding: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    metadata: dict[str, str] = {}


class WrongHeader(Exception):
    """One line that says what is wrong with it."""


class Opening:
    """What one connection brings first, in pieces of any size, until it is known what it is.

    >>> opening = Opening()
    >>> opening.receive(b'{"call_id":'), opening.receive(b'"a"}' + bytes([10, 1, 2]))
    (False, True)
    >>> opening.header.call_id, opening.audio
    ('a', b'\\x01\\x02')
    """

    def __init__(self) -> None:
        self.header = Header()
        self.audio = b""  # that came with it
        self._came = b""

    def receive(self, data: bytes) -> bool:
        """Whether it is known now; nothing more is for this then. Raises WrongHeader."""
        self._came += data
        match _begins_line(self._came):
            case False:
                self.audio = self._came
                return True
            case True:
                line, end, audio = self._came.partition(b"\n")
                if end and len(line) < LONGEST:
                    self.header, self.audio = parse_header(line), audio
                    return True
        if len(self._came) >= LONGEST:
            raise WrongHeader(f"the header line is longer than {LONGEST} bytes")
        return False

    def end(self) -> None:
        """Nothing more comes, and it is not known yet. Raises WrongHeader if anything came at all."""
        if self._came:
            raise WrongHeader("the header line has no end")


def _begins_line(came: bytes) -> bool | None:
    """Whether this begins a line of JSON rather than audio; None: too little to tell.

    One piece of noise in 256 begins with a brace, so what may follow one in JSON has to follow it.
    """
    if not came.startswith(b"{"):
        return False if came else None
    inside = came[1:LONGEST].lstrip(BLANK)
    if inside.startswith(b"}"):
        after = inside[1:].lstrip(BLANK)
        return after.startswith(b"\n") if after else None
    return inside.startswith((b'"', b"\n")) if inside else None


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
