"""A config as it was understood, for people: every value, and the URL that each call will dial."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from supervisor.core.audio import AudioFormat
from supervisor.core.options import check_options, check_url, hide_secrets, listen_url
from supervisor.core.options.url import SECRET
from supervisor.core.plain import plain
from supervisor.credential import DEFAULT_VARIABLE, without_keys
from supervisor.logs import HIDDEN, Secrets

from .checking import audio_of
from .model import CallConfig, Config, DeepgramConfig, IntakeConfig

LONGEST = 300  # characters of a value


def describe(config: Config, formats: Mapping[str, AudioFormat] | None = None) -> str:
    """What `check` prints. `formats` has the audio of calls, by name, whose sources have been looked into."""
    lines = [f"version = {config.version}", ""]
    place = config.deepgram.api_key and without_keys(config.deepgram.api_key)
    lines += ["[deepgram]", *_values(dataclasses.replace(config.deepgram, api_key=place), DeepgramConfig())]
    if config.deepgram.api_key is None:
        lines.append(f"# the key is read from ${DEFAULT_VARIABLE}, if that is set")
    for name, values in (
        ("limits", config.limits),
        ("buffer", config.settings.buffer),
        ("session", config.settings.session),
        ("retry", config.settings.retry),
        ("fleet", config.settings.fleet),
    ):
        lines += ["", f"[{name}]", *_values(values, type(values)())]
    for sink in config.sinks:
        lines += ["", "[[sink]]", *_values(sink)]
    for name, one in (("admin", config.admin), ("metrics", config.metrics)):
        if one:
            lines += ["", f"[{name}]", *_values(one)]
    for intake in config.intakes:
        lines += ["", "[[intake]]", *_values(intake), *_url(config, intake, None)]
    for call in config.calls:
        lines += ["", "[[call]]", *_values(call), *_url(config, call, (formats or {}).get(call.name))]
    return "\n".join(lines)


def _values(values: Any, defaults: Any = None) -> Iterator[str]:
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        if value is None or value == () or value == {}:
            continue
        changed = defaults is not None and value != getattr(defaults, field.name)
        note = f"  # not the default, {_toml(getattr(defaults, field.name))}" if changed else ""
        yield f"{field.name} = {_toml(value)}{note}"


def _toml(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str():
            shown = plain(Secrets().hide(hide_secrets(value)), LONGEST)
            return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case dict():
            pairs = (f"{plain(str(key))} = {_toml(HIDDEN if SECRET.search(str(key)) else held)}" for key, held in value.items())
            return "{ " + ", ".join(pairs) + " }" if value else "{}"
        case float():
            return f"{value:.15g}"
        case _:
            return plain(str(value))


def _url(config: Config, call: CallConfig | IntakeConfig, known: AudioFormat | None) -> Iterator[str]:
    options = config.options(call)
    audio = known or (call.format() if isinstance(call, CallConfig) else None)
    base = check_url(config.deepgram.url, False)
    query = check_options(options, audio or audio_of(call, options), config.deepgram.url).query
    if audio is None:
        query = tuple(pair for pair in query if pair[0] not in ("encoding", "sample_rate", "channels"))
    yield f"# {hide_secrets(listen_url(base, query))}"
    if audio is None:
        yield "# and encoding, sample_rate and channels as the audio itself says"
