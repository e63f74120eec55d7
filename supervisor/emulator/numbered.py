"""Numbered audio: bytes that say where in the call they are, from whichever byte one begins to read.

Theory. The audio is a row of 12-byte blocks. Every byte carries six bits; the first byte of a block has its top bit
set, the others have not, so a block is recognised wherever it lies. A block holds its number within its page (12
bits), the page (18), the call's salt (18) and a check (24): other audio is not taken for it. The last ten bytes of a
block are mixed with a pattern of their place in the page, so that two places of a call hardly ever look alike and the
end of a piece is known to the byte. No byte is 0x00, 0xFF or 0xD5: silence, of any encoding, is never part of it.

Because a page is a fixed pattern combined with ten bytes that are the same all through it, a whole chunk is made, or
compared, by one operation on big integers: nothing here looks at single samples.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import NamedTuple

BLOCK = 12
BLOCKS = 4096  # in a page
PAGE = BLOCK * BLOCKS
SALTS = 1 << 18
LONGEST = PAGE << 18  # bytes: 111 hours of 16 kHz, 16 bit
CERTAIN = 2 * BLOCK - 1  # so many bytes always hold a whole block

_BLOCK = re.compile(rb"[\x80-\xbf][\x40-\x7f]{11}")
_ALIKE = re.compile(rb"[\x40-\xbf]+")
_ALIKE_BYTES = bytes(range(0x40, 0xC0))


def _pattern() -> bytes:
    noise = hashlib.shake_128(b"numbered audio").digest(PAGE)
    blocks = []
    for number in range(BLOCKS):
        rest = bytes(0x40 | n & 63 for n in noise[number * BLOCK + 2 : (number + 1) * BLOCK])
        blocks.append(bytes((0x80 | number & 63, 0x40 | number >> 6)) + rest)
    return b"".join(blocks)


_PATTERN = _pattern()


def _key(salt: int, page: int) -> bytes:
    """What is mixed into every block of a page: nothing into its number, then page, salt and check."""
    check = zlib.crc32(b"%d %d" % (page, salt)) & 0xFFFFFF
    bits = page << 42 | salt << 24 | check
    return b"\0\0" + bytes(bits >> shift & 63 for shift in range(54, -6, -6))


def _mix(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def numbered(salt: int, position: int, length: int) -> bytes:
    """So many bytes of a call's audio, from a byte position on.

    >>> numbered(7, 100, 50) == numbered(7, 0, 200)[100:150]
    True
    """
    if not 0 <= salt < SALTS or position < 0 or position + length > LONGEST:
        raise ValueError(f"no such numbered audio: salt {salt}, position {position}, length {length}")
    pieces = []
    while length > 0:
        page, offset = divmod(position, PAGE)
        taken = min(length, PAGE - offset)
        turn = offset % BLOCK
        key = (_key(salt, page) * (taken // BLOCK + 2))[turn : turn + taken]
        pieces.append(_mix(_PATTERN[offset : offset + taken], key))
        position += taken
        length -= taken
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _located(block: bytes) -> tuple[int, int] | None:
    """The salt and the position a block says it has, if its check agrees."""
    number = block[0] & 63 | (block[1] & 63) << 6
    bits = 0
    for one, other in zip(block[2:], _PATTERN[number * BLOCK + 2 : (number + 1) * BLOCK], strict=True):
        bits = bits << 6 | one ^ other
    page, salt = bits >> 42, bits >> 24 & 0x3FFFF
    return (salt, page * PAGE + number * BLOCK) if _key(salt, page)[2:] == _six(bits) else None


def _six(bits: int) -> bytes:
    return bytes(bits >> shift & 63 for shift in range(54, -6, -6))


def _agreeing(one: bytes, other: bytes) -> int:
    """How many bytes are alike from the start."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    different = int.from_bytes(one[:length], "big") ^ int.from_bytes(other[:length], "big")
    return length - (different.bit_length() + 7) // 8


class Run(NamedTuple):
    """A piece of what was read."""

    at: int  # byte of what was read
    length: int
    salt: int  # whose audio; -1 = not numbered
    position: int  # byte of that call
    silent: bool  # not numbered, and nothing but silence

    @property
    def numbered(self) -> bool:
        return self.salt >= 0


def join(runs: list[Run], more: list[Run]) -> None:
    """Put runs at the end of others; what goes on where the last one ended makes it longer."""
    for run in more:
        last = runs[-1] if runs else None
        if (
            last
            and (last.salt, last.silent) == (run.salt, run.silent)
            and (not run.numbered or last.position + last.length == run.position)
        ):
            runs[-1] = last._replace(length=last.length + run.length)
        else:
            runs.append(run)


class Reader:
    """Reads a stream in which numbered audio may begin, end and jump at any byte, between silence or anything else.

    >>> reader = Reader(silence=0xFF)
    >>> reader.feed(numbered(7, 1000, 100) + b"\\xff" * 50 + numbered(7, 5000, 60))[1:]
    [Run(at=100, length=50, salt=-1, position=0, silent=True), Run(at=150, length=60, salt=7, position=5000, silent=False)]
    """

    def __init__(self, silence: int) -> None:
        self._silence = bytes((silence,))
        self._at = 0  # of the first pending byte
        self._pending = b""  # could be the start of something
        self._salt = -1
        self._next = 0  # where the run that was read last would go on
        self._inside = False  # it has not ended

    def feed(self, data: bytes) -> list[Run]:
        """The runs in what has come; a few bytes at the end may be kept until more shows what they are."""
        length = len(data)
        if self._inside and numbered(self._salt, self._next, length) == data:
            run = Run(self._at, length, self._salt, self._next, False)
            self._at += length
            self._next += length
            return [run]
        if not (self._inside or self._pending or data.strip(self._silence)):
            self._at += length
            return [Run(self._at - length, length, -1, 0, True)] if length else []
        return self._read(self._pending + data, ended=False)

    def finish(self) -> list[Run]:
        """No more will come: the runs in what was kept."""
        return self._read(self._pending, ended=True)

    def _read(self, data: bytes, ended: bool) -> list[Run]:
        runs: list[Run] = []
        start = self._go_on(data, 0, runs) if self._inside else 0
        index = start  # data[start:index] is not numbered
        while index < len(data):
            index, end = self._promising(data, index)
            found = self._locate(data, index, end)
            if found is None and end - index < CERTAIN and end == len(data) and not ended:
                break  # too little to know
            first = found[0] if found else end
            # A piece too short to be located can still be what follows the last one.
            if index < first < index + CERTAIN and self._resumes(data[index:first]):
                self._not_numbered(data, start, index, runs)
                start = index + self._go_on(data[index:first], index, runs)
            index = first
            if found:
                self._not_numbered(data, start, first, runs)
                _, self._salt, self._next = found
                index = start = first + self._go_on(data[first:], first, runs)
        self._inside = self._inside and start == len(data)
        self._not_numbered(data, start, index, runs)
        self._pending = data[index:]
        self._at += index
        return runs

    def _promising(self, data: bytes, start: int) -> tuple[int, int]:
        """The next stretch of bytes that may be numbered audio."""
        if self._salt >= 0:
            like = _ALIKE.search(data, start)
            return like.span() if like else (len(data), len(data))
        # Nothing to go on with: only whole blocks matter, and the end, where one may begin.
        if self._locate(data, start, len(data)):
            return start, len(data)
        tail = data[max(start, len(data) - CERTAIN + 1) :]
        return len(data) - len(tail) + len(tail.rstrip(_ALIKE_BYTES)), len(data)

    def _go_on(self, data: bytes, at: int, runs: list[Run]) -> int:
        """The bytes of data that are what follows the last run."""
        alike = _agreeing(data, numbered(self._salt, self._next, len(data)))
        if at == 0 and alike < BLOCK and (jump := self._locate(data, 0, len(data))) and jump[0] == 0:
            alike = 0  # a jump between two messages: its first bytes happen to look like what would have followed
        if alike:
            runs.append(Run(self._at + at, alike, self._salt, self._next, False))
        self._next += alike
        self._inside = alike == len(data)
        return alike

    def _resumes(self, piece: bytes) -> bool:
        return self._salt >= 0 and piece == numbered(self._salt, self._next, len(piece))

    def _locate(self, data: bytes, start: int, end: int) -> tuple[int, int, int] | None:
        """Where numbered audio begins in data[start:end], whose it is, and its position in the call."""
        while block := _BLOCK.search(data, start, end):
            place = _located(block[0])
            if place is None:
                start = block.start() + 1
                continue
            salt, position = place
            before = min(block.start() - start, position, BLOCK - 1)
            expected = numbered(salt, position - before, before)
            seen = data[block.start() - before : block.start()]
            alike = _agreeing(seen[::-1], expected[::-1])
            return block.start() - alike, salt, position - alike
        return None

    def _not_numbered(self, data: bytes, start: int, end: int, runs: list[Run]) -> None:
        if start < end:
            silent = not data[start:end].strip(self._silence)
            runs.append(Run(self._at + start, end - start, -1, 0, silent))
