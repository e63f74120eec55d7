"""What a client asks for with its opening handshake, and what the server refuses before it listens.

The words of the refusals are Deepgram's where they are known. An unknown key is ignored, as the server does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from ..core.audio import SAMPLE_BYTES, AudioFormat
from .window import Orders

MODELS = re.compile(
    r"nova-3(-general|-medical)?"
    r"|nova-2(-general|-meeting|-finance|-conversationalai|-voicemail|-video|-medical|-drivethru|-automotive)?"
    r"|(nova|enhanced|base)(-general|-phonecall|-medical|-meeting|-finance|-conversationalai|-voicemail|-video)?"
    r"|general|meeting|phonecall|finance|conversationalai|voicemail|video|custom"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
COMPRESSED = ("flac", "amr-nb", "amr-wb", "opus", "ogg-opus", "speex", "g729")
BOOLEANS = (
    "interim_results", "multichannel", "vad_events", "smart_format", "punctuate", "no_delay", "numerals",
    "profanity_filter", "dictation", "filler_words", "diarize", "detect_entities", "mip_opt_out", "inspect_response",
    "debug",
)  # fmt: skip
INTEGERS = ("sample_rate", "channels", "utterance_end_ms")
MOST_CHANNELS = 20


class Refused(Exception):
    """No to an opening handshake: the status, and the two texts of the body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request."""

    audio: AudioFormat | None  # None = in a container, which names it
    model: str
    multichannel: bool
    formatted: bool
    diarized: bool
    orders: Orders
    query: Sequence[tuple[str, str]] = ()

    @property
    def keyterms(self) -> bool:
        return self.model.startswith("nova-3")


def credential(headers: Mapping[str, str], subprotocols: list[str]) -> tuple[str, str | None]:
    """The key or token a client shows, and the subprotocol to echo where it was shown in that header."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("token", "bearer"):
        return secret.strip(), subprotocols[0] if subprotocols else None
    if len(subprotocols) >= 2 and subprotocols[0].lower() in ("token", "bearer"):
        return subprotocols[1], subprotocols[0]
    return "", subprotocols[0] if subprotocols else None


def check_key(shown: str, api_key: str | None) -> None:
    if api_key is not None and shown != api_key:
        raise Refused(401, "INVALID_AUTH", "Invalid credentials.")


def ask_of(target: str) -> Ask:
    """Read the path and the query of a request; raises Refused."""
    try:
        parts = urlsplit(target)
    except ValueError:  # an address that is none
        parts = urlsplit("")
    if parts.path.rstrip("/") != "/v1/listen":
        raise Refused(404, "NOT_FOUND", "Not Found")
    query = parse_qsl(parts.query, keep_blank_values=True)
    values = dict(query)
    _check_types(values)
    model = values.get("model", "base-general")
    _check_model(model, values)
    return Ask(
        audio=_audio(values),
        model=model,
        multichannel=_is(values, "multichannel"),
        formatted=_is(values, "smart_format") or _is(values, "punctuate"),
        diarized=_is(values, "diarize") or "diarize_model" in values,
        orders=_orders(values),
        query=query,
    )


def _is(values: Mapping[str, str], key: str) -> bool:
    return values.get(key) == "true"


def _wrong(message: str) -> Refused:
    return Refused(400, "INVALID_QUERY_PARAMETER", message)


def _check_types(values: Mapping[str, str]) -> None:
    for key in BOOLEANS:
        if values.get(key, "true") not in ("true", "false"):
            raise _wrong("Failed to deserialize query parameters: provided string was not `true` or `false`")
    for key in INTEGERS:
        if not re.fullmatch(r"[0-9]{1,9}", values.get(key, "0")):
            raise _wrong("Failed to deserialize query parameters: invalid digit found in string")
    if not re.fullmatch(r"true|false|[0-9]{1,9}", values.get("endpointing", "true")):
        raise _wrong("Failed to deserialize query parameters: invalid digit found in string")


def _check_model(model: str, values: Mapping[str, str]) -> None:
    if model.startswith("whisper"):
        raise Refused(405, "METHOD_NOT_ALLOWED", "Method Not Allowed")
    if not MODELS.fullmatch(model) or values.get("language") == "english":
        raise Refused(400, "Bad Request", "Bad Request: No such model/version combination found.")
    if "keywords" in values and model.startswith("nova-3"):
        raise _wrong("Keywords are not supported for Nova-3. Please use `keyterm` instead.")
    if "keyterm" in values and not model.startswith("nova-3"):
        raise _wrong("`keyterm` is only supported for Nova-3 and Flux")
    if values.get("diarize_model", "latest") not in ("latest", "v1"):
        raise _wrong("Failed to deserialize query parameters: unknown variant, expected `latest` or `v1`")
    if "callback" in values:
        raise _wrong("Invalid callback url.")


def _audio(values: Mapping[str, str]) -> AudioFormat | None:
    encoding = values.get("encoding")
    if encoding is None:
        return None
    if encoding in COMPRESSED:
        raise _wrong(f"This emulator does not decode {encoding}: it hears raw audio and WAV.")
    if encoding not in SAMPLE_BYTES:
        known = ", ".join(f"`{name}`" for name in (*SAMPLE_BYTES, *COMPRESSED))
        raise _wrong(
            f"Failed to deserialize query parameters: unknown variant `{encoding[:40]}`, expected one of {known}"
        )
    rate, channels = int(values.get("sample_rate", "0")), int(values.get("channels", "1"))
    if rate < 1:
        raise _wrong("`sample_rate` is required with `encoding`")
    if not 1 <= channels <= MOST_CHANNELS:
        raise _wrong(f"`channels` must be from 1 to {MOST_CHANNELS}")
    return AudioFormat(encoding, rate, channels)


def _orders(values: Mapping[str, str]) -> Orders:
    orders = Orders(interims=_is(values, "interim_results"), vad_events=_is(values, "vad_events"))
    endpointing = values.get("endpointing", "10")
    if endpointing != "true":
        orders.endpointing = None if endpointing == "false" else int(endpointing) / 1000
    if "utterance_end_ms" in values:
        orders.utterance_end = int(values["utterance_end_ms"]) / 1000
        if not orders.interims:
            raise _wrong("`utterance_end_ms` requires `interim_results=true`")
        if orders.utterance_end < 1:
            raise _wrong("`utterance_end_ms` must be at least 1000")
    return orders


def wav_audio(head: bytes) -> tuple[AudioFormat, int] | None:
    """The audio of a WAV, and where it begins; None when more of its head is needed. Raises ValueError."""
    if not b"RIFF".startswith(head[:4]) or not b"WAVE".startswith(head[8:12]):
        raise ValueError("no WAV")
    at, audio = 12, None
    while len(head) >= at + 8:
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"data":
            if audio is None:
                raise ValueError("a WAV without a format")
            return audio, at + 8
        if size > 65536:
            raise ValueError(f"a chunk of {size} bytes before the audio")
        if name == b"fmt " and len(head) >= at + 8 + size:
            audio = _wav_format(head[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return None


def _wav_format(chunk: bytes) -> AudioFormat:
    if len(chunk) < 16:
        raise ValueError("a format of too few bytes")
    tag, channels = int.from_bytes(chunk[0:2], "little"), int.from_bytes(chunk[2:4], "little")
    rate, bits = int.from_bytes(chunk[4:8], "little"), int.from_bytes(chunk[14:16], "little")
    if tag == 0xFFFE and len(chunk) >= 26:  # extensible: the format's own tag begins its GUID
        tag = int.from_bytes(chunk[24:26], "little")
    encoding = {(1, 16): "linear16", (3, 32): "linear32", (7, 8): "mulaw", (6, 8): "alaw"}.get((tag, bits))
    if encoding is None or rate < 1 or not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(f"a WAV of format {tag}, {bits} bits")
    return AudioFormat(encoding, rate, channels)
