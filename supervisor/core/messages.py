"""What Deepgram's listen API says, as types: text frames in, one message each out.

Nothing from the wire is trusted: a shape that is not known is `Other`, one that cannot be read is `Unreadable`, and a
number out of any sensible range makes a message unreadable rather than a crash. Source: Deepgram, API reference of
/v1/listen (Results, Metadata, UtteranceEnd, SpeechStarted, Error).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=-1.0, le=1e7)]  # UtteranceEnd says -1 for "no word"
Confidence = Annotated[float, msgspec.Meta(ge=-1.0, le=2.0)]
ChannelIndex = tuple[Annotated[int, msgspec.Meta(ge=0, le=1000)], int]  # this one, of so many


class HeardWord(msgspec.Struct, frozen=True):
    word: str
    start: Seconds
    end: Seconds
    confidence: Confidence = 0.0
    punctuated_word: str | None = None
    speaker: int | None = None


class Alternative(msgspec.Struct, frozen=True):
    transcript: str = ""
    confidence: Confidence = 0.0
    words: tuple[HeardWord, ...] = ()


class Hypotheses(msgspec.Struct, frozen=True):
    alternatives: tuple[Alternative, ...] = ()


class Results(msgspec.Struct, frozen=True, tag_field="type", tag="Results"):
    """What was said in [start, start + duration) of this session's audio; final, or to be replaced."""

    start: Seconds
    duration: Seconds
    channel: Hypotheses
    is_final: bool = False
    speech_final: bool = False
    from_finalize: bool = False
    channel_index: ChannelIndex = (0, 1)

    @property
    def end(self) -> float:
        return self.start + self.duration

    @property
    def best(self) -> Alternative:
        return self.channel.alternatives[0] if self.channel.alternatives else Alternative()


class Metadata(msgspec.Struct, frozen=True, tag_field="type", tag="Metadata"):
    """The session's summary: `duration` is the audio that the server says it had."""

    duration: Seconds | None = None
    request_id: str = ""


class UtteranceEnd(msgspec.Struct, frozen=True, tag_field="type", tag="UtteranceEnd"):
    last_word_end: Seconds = -1.0
    channel: ChannelIndex = (0, 1)


class SpeechStarted(msgspec.Struct, frozen=True, tag_field="type", tag="SpeechStarted"):
    timestamp: Seconds = 0.0
    channel: ChannelIndex = (0, 1)


class Error(msgspec.Struct, frozen=True, tag_field="type", tag="Error"):
    """A complaint about something we sent; the stream stays open."""

    variant: str = ""
    description: str = ""
    code: str = ""
    message: str = ""


class Other(msgspec.Struct, frozen=True):
    """A message of a kind we do not know."""

    type: str


class Unreadable(msgspec.Struct, frozen=True):
    """Not a message at all: the problem, in the decoder's words."""

    problem: str


Message = Results | Metadata | UtteranceEnd | SpeechStarted | Error | Other | Unreadable


class _Kind(msgspec.Struct):
    type: str = ""


_known = msgspec.json.Decoder(Results | Metadata | UtteranceEnd | SpeechStarted | Error)
_kind = msgspec.json.Decoder(_Kind)
KNOWN = frozenset({"Results", "Metadata", "UtteranceEnd", "SpeechStarted", "Error"})


def parse(text: str | bytes) -> Message:
    """Never raises.

    >>> parse('{"type": "Metadata", "duration": 9.5}')
    Metadata(duration=9.5, request_id='')
    >>> parse('{"type": "Novelty", "x": 1}'), parse('{"type": "Results", "start": 1e300}').problem
    (Other(type='Novelty'), 'Expected `float` <= 10000000.0 - at `$.start`')
    >>> type(parse('[]')).__name__, type(parse(b'\\xff')).__name__, type(parse('{}')).__name__
    ('Unreadable', 'Unreadable', 'Unreadable')
    """
    try:
        known: Message = _known.decode(text)
        return known
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        problem = str(error)
    try:
        kind = _kind.decode(text).type
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        kind = ""
    return Other(kind[:100]) if kind and kind not in KNOWN else Unreadable(problem[:200])
