"""The messages of the server, as bytes of JSON: what they hold and how their numbers are rounded.

Times are 32-bit floats on the wire, as Deepgram's are: an hour into a connection they are 0.24 ms apart.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from .engine import Heard

VARIANTS = ("CloseStream", "Configure", "Sync", "KeepAlive", "Finalize")
MODEL_UUID = "c0d1a568-ce81-4fea-97e7-bd45cb1fdf3c"

_encode = msgspec.json.Encoder().encode
_FLOAT = struct.Struct("f")


def float32(seconds: float) -> float:
    """The nearest 32-bit float, in as few digits as tell it from its neighbours.

    >>> float32(3600.1), float32(36000.0125), float32(1 / 3)
    (3600.1, 36000.01, 0.33333334)
    """
    single = _FLOAT.pack(seconds)
    (exact,) = _FLOAT.unpack(single)
    for digits in range(6, 9):
        told = float(f"{exact:.{digits}g}")
        if _FLOAT.pack(told) == single:
            return told
    return float(f"{exact:.9g}")


def _single(seconds: float) -> float:
    """As the server calculates with it."""
    return float(_FLOAT.unpack(_FLOAT.pack(seconds))[0])


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes the messages of one connection; all positions are sample frames since its first audio."""

    request_id: str
    model: str
    sample_rate: int
    channels: int  # that are told apart
    formatted: bool  # smart_format or punctuate
    diarized: bool

    def results(
        self, channel: int, start: int, end: int, words: Sequence[Heard], *, final: bool, speech: bool, asked: bool
    ) -> bytes:
        """Results for [start, end); `speech` is speech_final, `asked` is from_finalize."""
        alternative = {
            "transcript": " ".join([word.written if self.formatted else word.word for word in words]),
            "confidence": float32(sum(word.confidence for word in words) / len(words)) if words else 0.0,
            "words": [self._word(word) for word in words],
        }
        begin, finish = start / self.sample_rate, end / self.sample_rate
        return _encode(
            {
                "type": "Results",
                "channel_index": [channel, self.channels],
                "duration": float32(_single(finish) - _single(begin)),
                "start": float32(begin),
                "is_final": final,
                "speech_final": speech,
                "channel": {"alternatives": [alternative]},
                "metadata": {"request_id": self.request_id, "model_info": self._model(), "model_uuid": MODEL_UUID},
                "from_finalize": asked,
            }
        )

    def _word(self, word: Heard) -> dict[str, str | float]:
        told: dict[str, str | float] = {
            "word": word.word,
            "start": float32(word.start / self.sample_rate),
            "end": float32(word.end / self.sample_rate),
            "confidence": word.confidence,
        }
        if self.formatted:
            told["punctuated_word"] = word.written
        if self.diarized:
            told["speaker"] = 0
        return told

    def _model(self) -> dict[str, str]:
        return {"name": self.model, "version": "2024-01-18.26916", "arch": "-".join(self.model.split("-")[:2])}

    def metadata(self, sha256: str, created: str, frames: int, channels: int) -> bytes:
        """The summary before the end; of audio that could not be decoded both numbers are 0."""
        models = {"models": [MODEL_UUID], "model_info": {MODEL_UUID: self._model()}} if channels else {}
        return _encode(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self.request_id,
                "sha256": sha256,
                "created": created,
                "duration": float32(frames / self.sample_rate),
                "channels": channels,
                **models,
            }
        )

    def utterance_end(self, channel: int, last_word_end: int | None) -> bytes:
        """None is told as -1, as some servers do."""
        end = -1 if last_word_end is None else float32(last_word_end / self.sample_rate)
        return _encode({"type": "UtteranceEnd", "channel": [channel, self.channels], "last_word_end": end})

    def speech_started(self, channel: int, at: int) -> bytes:
        timestamp = float32(at / self.sample_rate)
        return _encode({"type": "SpeechStarted", "channel": [channel, self.channels], "timestamp": timestamp})

    def configured(self, keyterms: object) -> bytes:
        replaced = {} if keyterms is None else {"keyterms": keyterms}
        return _encode({"type": "ConfigureSuccess", "request_id": self.request_id, **replaced})


def error(variant: str, description: str, **more: str) -> bytes:
    """An Error, which does not end the connection."""
    return _encode({"type": "Error", "variant": variant, "description": description, **more})


def schema_error(description: str, message: str) -> bytes:
    return error(
        "SchemaError", f"Could not deserialize last text message: {description}", message=message[:4096]
    )


def one_of(names: Sequence[str]) -> str:
    return "expected one of " + ", ".join(f"`{name}`" for name in names)


def shown(value: object) -> str:
    """A value that was of another type than it should have been."""
    return _encode(value).decode()[:100]


def value_ends(text: str, key: str = "type") -> int:
    """The column where the text that a key has ends: there the server notices what is wrong with it.

    >>> value_ends('{ "type": "KeepAlive "}')
    22
    """
    found = re.search(rf'"{key}"\s*:\s*"(?:[^"\\]|\\.)*"', text)
    return found.end() if found else len(text)


def is_list_of_text(value: object) -> bool:
    """Or nothing, which leaves what there was."""
    return value is None or (isinstance(value, list) and all(isinstance(each, str) for each in value))
