"""Options checked as a whole, before anything is dialled: every fault at once, each with its fix.

What a server would refuse with a 400 is refused here, where the line can say what to write instead. What is not known
here may be known there: it passes, with a warning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ..audio import AudioFormat
from ..plain import plain
from ..problem import Problem
from .parameters import (
    COMPRESSED,
    FLUX_ONLY,
    KNOWN,
    LONG_QUERY,
    LONG_UTTERANCE_END,
    MANY_KEYTERMS,
    MODELS,
    MOST_CHANNELS,
    MOST_KEYTERM_WORDS,
    REFUSED,
)  # fmt: skip
from .spelling import Value, wire
from .url import encoded, options_of

DEFAULT_MODEL = "nova-3"
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Spelt = dict[str, list[str]]  # the values of each key as they go on the wire


@dataclass(frozen=True, slots=True)
class Checked:
    """Options that may be sent."""

    query: tuple[tuple[str, str], ...]
    show_interims: bool  # interims are always asked for, since they move the clock; this is whether they are shown
    redacts: bool  # a replay may then not begin inside a final
    warnings: tuple[str, ...] = ()


class WrongOptions(Problem):
    """What is wrong with options, all of it: one line as a whole, or a Problem for each fault."""

    def __init__(self, faults: tuple[Problem, ...]) -> None:
        if len(faults) == 1:
            super().__init__(faults[0].cause, faults[0].hint)
        else:
            super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


def check_options(options: Mapping[str, Value], audio: AudioFormat, url: str = "") -> Checked:
    """The options as they are sent, with those that the audio decides and the defaults.

    Options that the URL carries count as given; `options` win over them. Raises WrongOptions (exit 64).

    >>> check_options({"interim_results": False}, AudioFormat("linear16", 16000)).query
    (('model', 'nova-3'), ('encoding', 'linear16'), ('sample_rate', '16000'), ('channels', '1'), \
('smart_format', 'true'), ('interim_results', 'true'))
    """
    spelt: Spelt = {}
    faults: list[Problem] = []
    for key, value in {**options_of(url), **options}.items():
        try:
            spelt[key] = _spelt(key, value)
        except Problem as fault:
            faults.append(fault)
    faults += _faults(spelt, audio)
    if faults:
        raise WrongOptions(tuple(faults))
    decided = {
        "model": [DEFAULT_MODEL],
        "encoding": [audio.encoding],
        "sample_rate": [str(audio.sample_rate)],
        "channels": [str(audio.channels)],
        "smart_format": ["true"],
    } | ({"multichannel": ["true"]} if audio.channels > 1 else {})
    query = tuple(
        (key, value)
        for key, values in {**decided, **spelt, "interim_results": ["true"]}.items()
        for value in values
    )
    return Checked(
        query=query,
        show_interims=spelt.get("interim_results") != ["false"],
        redacts=_redacts(spelt),
        warnings=tuple(_warnings(spelt, query)),
    )


def _spelt(key: str, value: object) -> list[str]:
    if key in REFUSED:
        why, fix = REFUSED[key]
        raise Problem(f"{key}: {why}", fix)
    if not key.strip():
        raise Problem("an option has no name", "leave it out")
    if key == "encoding" and str(value).strip().lower() in COMPRESSED:
        raise Problem(
            f"encoding={plain(str(value))} is compressed, and only raw audio can be sent again from the middle",
            "leave it out: a file is decoded before it is sent, and for a stream command:ffmpeg ... does it",
        )
    return wire(key, value)


def _faults(spelt: Spelt, audio: AudioFormat) -> Iterator[Problem]:
    for key, actual in (("encoding", audio.encoding), ("sample_rate", audio.sample_rate), ("channels", audio.channels)):
        if key in spelt and spelt[key] != [str(actual)]:
            yield Problem(
                f"{key}={spelt[key][0]} is not the audio's, which is {actual}",
                f"leave it out: it is the source's own, which raw audio is given with --{key.replace('_', '-')}",
            )
    if audio.channels > MOST_CHANNELS and spelt.get("multichannel") != ["false"]:
        yield Problem(
            f"multichannel with {audio.channels} channels",
            f"Deepgram takes at most {MOST_CHANNELS}: send fewer, or set multichannel=false to have them mixed",
        )
    if _is(spelt, "dictation") and not _is(spelt, "punctuate"):
        yield Problem("dictation=true needs punctuation", "add punctuate=true")
    if len(spelt.get("redact", ())) > 1 and "false" in spelt["redact"]:
        yield Problem("redact=false beside other values", "leave the false out, or the others")
    for language in spelt.get("language", ()):
        if language != "multi" and not LANGUAGE.fullmatch(language):
            yield Problem(f"language={plain(language, 40)} is not a language tag", "such as en, en-US or de; or multi")
    yield from _model_faults(spelt)


def _model_faults(spelt: Spelt) -> Iterator[Problem]:
    model = _model(spelt)
    if model.startswith("flux"):
        yield Problem(f"model={plain(model, 40)} is Flux, which is not supported yet", f"use {DEFAULT_MODEL}")
        return
    nova_3 = model.startswith("nova-3")
    if "keyterm" in spelt and not nova_3 and model in MODELS and model != "custom":
        yield Problem(f"keyterm does not go with model={model}", f"use model={DEFAULT_MODEL}, or keywords")
    if "keywords" in spelt and nova_3:
        yield Problem(f"keywords does not go with model={plain(model, 40)}", "use keyterm, which has no weights")
    for keyword in spelt.get("keywords", ()):
        term, colon, intensifier = keyword.rpartition(":")
        if colon and not (term and _finite(intensifier)):
            yield Problem(f"keywords={plain(keyword, 60)}", "write a term, or term:number such as Acme:1.5")
    words = sum(len(term.split()) for term in spelt.get("keyterm", ()))
    if words > MOST_KEYTERM_WORDS:
        yield Problem(f"keyterm has {words} words in all", f"Deepgram takes {MOST_KEYTERM_WORDS} tokens: use fewer")


def _warnings(spelt: Spelt, query: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for key in spelt:
        if key in FLUX_ONLY:
            yield f"{key} belongs to Flux; /v1/listen may refuse it"
        elif key not in KNOWN:
            near = get_close_matches(key.lower().replace("-", "_"), KNOWN, 1, 0.75)
            yield f'"{plain(key, 40)}" is no known option{_nearest(near)}'
        elif KNOWN[key].aged:
            yield f"{key}: {KNOWN[key].aged}"
    model = _model(spelt)
    if model.startswith("whisper"):
        yield f"model={plain(model, 40)}: Deepgram has Whisper for recordings only, and answers 405"
    elif model not in MODELS and not UUID.fullmatch(model):
        near = get_close_matches(model, MODELS, 1, 0.6)
        yield f"model={plain(model, 40)} is not known{_nearest(near)}"
    if _is(spelt, "no_delay") and _redacts(spelt):
        yield "no_delay=true makes redact miss more"
    if int(spelt.get("utterance_end_ms", ["0"])[0]) > LONG_UTTERANCE_END:
        yield f"utterance_end_ms above {LONG_UTTERANCE_END} is refused by some servers"
    if len(spelt.get("keyterm", ())) > MANY_KEYTERMS:
        yield f"keyterm is given {len(spelt['keyterm'])} times; all together may have {MOST_KEYTERM_WORDS} tokens"
    if len(encoded(query)) > LONG_QUERY:
        yield f"the options make a URL of more than {LONG_QUERY} characters, which a server may refuse with 414"


def _nearest(names: list[str]) -> str:
    return f": did you mean {names[0]}?" if names else "; it is sent as it is"


def _model(spelt: Spelt) -> str:
    return spelt.get("model", [DEFAULT_MODEL])[0].lower()


def _is(spelt: Spelt, key: str) -> bool:
    return spelt.get(key) == ["true"]


def _redacts(spelt: Spelt) -> bool:
    return any(value != "false" for value in spelt.get("redact", ()))


def _finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
