"""The query parameters of Deepgram's /v1/listen: what each may be. Data; the rules that join two are in checking.

Source: Deepgram's reference of /v1/listen (2026), with the older parameters that its SDKs still know. Where it is not
known what a server does with a value, there is a warning here and not an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["boolean", "whole number", "text", "choice", "boolean or whole number"]


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    kind: Kind = "text"
    many: bool = False  # the key may be repeated
    choices: tuple[str, ...] = ()
    least: int = 0
    longest: int = 0  # characters in one value; 0 = no limit known
    most: int = 0  # values; 0 = no limit known
    pair: str = ""  # what has to stand on both sides of a colon
    note: str = ""  # what is added to the list of choices
    aged: str = ""  # why it is better left out: a warning


KNOWN = {
    parameter.name: parameter
    for parameter in (
        Parameter("model"),
        Parameter("version"),
        Parameter("language"),
        Parameter("encoding", "choice", choices=("linear16", "linear32", "mulaw", "alaw")),
        Parameter("sample_rate", "whole number", least=1),
        Parameter("channels", "whole number", least=1),
        Parameter("multichannel", "boolean"),
        Parameter("interim_results", "boolean"),
        Parameter("endpointing", "boolean or whole number"),
        Parameter("utterance_end_ms", "whole number", least=1000),
        Parameter("vad_events", "boolean"),
        Parameter("smart_format", "boolean"),
        Parameter("no_delay", "boolean"),
        Parameter("punctuate", "boolean"),
        Parameter("numerals", "boolean"),
        Parameter("profanity_filter", "boolean"),
        Parameter("dictation", "boolean"),
        Parameter("filler_words", "boolean"),
        Parameter("diarize", "boolean", aged="use diarize_model=latest, which takes its place"),
        Parameter("diarize_model", "choice", choices=("latest", "v1"), note="; v2 is for recordings only"),
        Parameter("diarize_version", aged="use diarize_model, which takes its place"),
        Parameter("detect_entities", "boolean"),
        Parameter(
            "redact", "choice", many=True, choices=("true", "false", "pci", "numbers", "aggressive_numbers", "ssn")
        ),
        Parameter("keyterm", many=True),
        Parameter("keywords", many=True, most=100),
        Parameter("search", many=True, most=50),
        Parameter("replace", many=True, pair="find:replace"),
        Parameter("tag", many=True, longest=128),
        Parameter("extra", many=True, longest=2048, pair="key:value"),
        Parameter("mip_opt_out", "boolean"),
        Parameter("inspect_response", "boolean", aged="it only means something with callback, which is not taken"),
        Parameter("debug", "boolean"),
        Parameter("alternatives", "whole number", least=1, aged="Deepgram no longer supports it"),
        Parameter("tier", aged="Deepgram no longer supports it; the model says it all"),
    )
}

# Not taken at all: why, and what to do.
REFUSED = {
    "callback": (
        "results would leave the connection and could not be followed",
        "leave it out, and let a sink deliver the transcript",
    ),
    "callback_method": ("it only means something with callback, which is not taken", "leave it out"),
}
COMPRESSED = ("flac", "amr-nb", "amr-wb", "opus", "ogg-opus", "speex", "g729")
FLUX_ONLY = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms", "language_hint")

MODELS = (
    *("nova-3", "nova-3-general", "nova-3-medical"),
    *("nova-2", *(f"nova-2-{use}" for use in (
        "general", "meeting", "finance", "conversationalai", "voicemail", "video", "medical", "drivethru",
        "automotive", "phonecall",
    ))),
    *("nova", "nova-general", "nova-phonecall", "nova-medical"),
    *("enhanced", "enhanced-general", "enhanced-meeting", "enhanced-phonecall", "enhanced-finance"),
    *("base", "general", "meeting", "phonecall", "finance", "conversationalai", "voicemail", "video", "custom"),
)  # fmt: skip

MOST_CHANNELS = 20  # of multichannel
MOST_KEYTERM_WORDS = 500  # the limit is 500 tokens, and a word is at least one
MANY_KEYTERMS = 100  # from here on the limit of tokens may be reached
LONG_UTTERANCE_END = 5000  # ms; servers are known that take no more
LONG_QUERY = 7000  # characters; many servers take 8 KiB of request line
