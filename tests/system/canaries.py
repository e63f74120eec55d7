"""What is planted to be looked for later, and the net that finds it in whatever spelling a program may show it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

KEY = "b7e1c0de5eed4a11ce0ffee0ddba11f005ba11ad"  # as Deepgram's look: 40 hexadecimal digits
SECRET = "webhook-canary-secret-0000000001"
TYPED = b"DACBBDCA"  # keys that a caller presses; four of the sixteen that there are
SPOKEN = "kumquatmarmalade"  # the beginning of every word that is heard
SOUND = b"HUMMINGBIRD\x01wings%"  # audio that can be told from everything else
CALLER, CALLEE, ALIAS, LOCAL = "+15557301946", "+442079460857", "15557309164", "7301946"


class Canary(NamedTuple):
    name: str
    pattern: re.Pattern[bytes]


def spellings(secret: bytes, *, window: int = 12) -> Iterable[bytes]:
    """Every piece of it of so many bytes: as it is, in hexadecimal, in base64, and as numbers in a list."""
    for start in range(max(1, len(secret) - window + 1)):
        piece = secret[start : start + window]
        yield piece
        yield piece.hex().encode()
        yield piece.hex().upper().encode()
        yield ", ".join(str(byte) for byte in piece).encode()
        for shift in range(3):  # by where it stands in what is encoded; its ends depend on what is beside it
            yield base64.b64encode(bytes(shift) + piece)[4 if shift else 0 :][: (len(piece) - 3) // 3 * 4]


def _any_of(spelled: Iterable[bytes]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(sorted({re.escape(each) for each in spelled})))


def _number(digits: str) -> re.Pattern[bytes]:
    """However it is punctuated, without the digits of another number around it."""
    return re.compile(rb"(?<![0-9.])" + rb"[ .()/-]{0,3}".join(digit.encode() for digit in digits.lstrip("+")) + rb"(?![0-9])")


KEYS = (
    Canary("the key", _any_of(spellings(KEY.encode()))),
    Canary("the webhook's secret", _any_of(spellings(SECRET.encode()))),
)
TOUCHES = (
    Canary("what was typed", re.compile(rb"\W{0,12}".join(b"%c" % key for key in TYPED))),
    Canary("each key by itself", re.compile(rb"(?s)" + rb".{1,4000}?".join(rb"\b%c\b" % key for key in TYPED))),  # in lines of its own
    Canary("a field for what is typed", re.compile(rb"(?i)dtmf|digits?\W{0,2}[=:]")),
)
# A frame may begin anywhere in it, and a sound is repeated: twice is all its pieces.
SOUNDS = (Canary("audio", _any_of(spellings(SOUND * 2))),)
WORDS = (Canary("what was said", re.compile(rb"(?i)%s|" % SPOKEN[:8].encode() + _any_of(spellings(SPOKEN.encode())).pattern)),)
NUMBERS = tuple(Canary(f"the number {each}", _number(each)) for each in (CALLER, CALLEE, ALIAS, LOCAL))


def leaks(outputs: Mapping[str, bytes], canaries: Iterable[Canary]) -> list[str]:
    """Where one is seen, and what stands around it."""
    return [
        f"{canary.name} in {name}: {text[max(0, found.start() - 160) : found.end() + 60]!r}"
        for name, text in outputs.items()
        for canary in canaries
        if (found := canary.pattern.search(text))
    ]
