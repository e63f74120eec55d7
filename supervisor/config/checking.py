"""What a config's values must be among themselves, and in the world they will be used in."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any
from urllib.parse import urlsplit

from supervisor.core.address import parse_address
from supervisor.core.audio import SAMPLE_BYTES, AudioFormat
from supervisor.core.catalogue import check_overrides
from supervisor.core.options import WrongOptions, check_options, check_url
from supervisor.core.problem import Problem
from supervisor.core.settings import BufferSettings, RetrySettings
from supervisor.credential import credential_from
from supervisor.logs import is_journal

from .model import CallConfig, Config, IntakeConfig, SinkConfig
from .numbers import out_of_range
from .table import Faults, found_as

Tables = Mapping[str, list[tuple[str, Any]]]  # each with what it is called in messages

STDOUT = 1

# The kinds that a key belongs to, where that is not all of them.
KEYS_OF_INTAKES = {
    "listen": ("audiosocket", "tcp"),
    "allow": ("audiosocket", "tcp"),
    "directory": ("directory",),
    "silence": ("audiosocket",),
    "codec_override": ("audiosocket",),
    "encoding": ("tcp",),
    "sample_rate": ("tcp",),
    "channels": ("tcp",),
    "pace": ("directory",),
    "format": ("directory",),
}
KEYS_OF_SINKS = {
    "directory": ("files",),
    "format": ("files", "stdout"),
    "url": ("webhook",),
    "secret": ("webhook",),
    "ca": ("webhook",),
    "last_resort": ("files",),
}


def check(
    document: Mapping[str, Any], tables: Tables, config: Config, environ: Mapping[str, str], faults: Faults
) -> tuple[str, ...]:
    """Adds what is wrong to the faults; what is only doubtful comes back as warnings."""
    version = document.get("version")
    if version is None:
        faults.add("version", "is missing", "begin the file with version = 1")
    elif type(version) is not int or version != 1:
        faults.add("version", f"is {found_as(version)}", "this program reads version 1")
    for kind, found in tables.items():
        for at, values in found:
            for key, value, wanted in out_of_range(kind, values):
                faults.add(f"{at} {key}", f"is {found_as(value)}", f"it must be {wanted}")
    _retry(config.settings.retry, faults)
    _buffer(config.settings.buffer, faults)
    _deepgram(config, document, environ, faults)
    _calls(tables["call"], document, config, faults)
    _sinks(tables["sink"], document, environ, faults)
    _intakes(tables["intake"], faults)
    _operators(config, faults)
    return _options([*tables["call"], *tables["intake"]], config, faults)


def _retry(retry: RetrySettings, faults: Faults) -> None:
    if retry.longest < retry.initial:
        faults.add("[retry] longest", f"is {found_as(retry.longest)}", f"it must be no less than initial, {retry.initial:g}")
    for key, verdict in retry.verdicts.items():
        try:
            check_overrides({key: verdict})
        except Problem as problem:
            faults.also("[retry] verdicts", problem)


def _buffer(buffer: BufferSettings, faults: Faults) -> None:
    if buffer.margin >= buffer.seconds:
        faults.add("[buffer] margin", f"is {found_as(buffer.margin)}", f"it must be less than seconds, {buffer.seconds:g}")


def _deepgram(config: Config, document: Mapping[str, Any], environ: Mapping[str, str], faults: Faults) -> None:
    said = document.get("deepgram")
    has_key = True
    try:
        has_key = credential_from(config.deepgram.api_key, environ) is not None
    except Problem as problem:
        faults.also("[deepgram]", problem)
    try:
        check_url(config.deepgram.url, has_key)
    except Problem as problem:
        faults.also("[deepgram] url" if isinstance(said, dict) and "url" in said else "$DEEPGRAM_URL", problem)
    ca = config.deepgram.ca
    if ca is not None and not os.access(ca, os.R_OK):
        faults.add("[deepgram] ca", f"is {found_as(ca)}", "no such file can be read: name the CA's PEM file")


def _calls(calls: Sequence[tuple[str, CallConfig]], document: Mapping[str, Any], config: Config, faults: Faults) -> None:
    names: dict[str, str] = {}
    streams: dict[str, str] = {}
    for at, call in calls:
        if not call.name.isprintable() or len(call.name) > 200:
            faults.add(f"{at} name", "is not printable, or longer than 200 characters", "it names the call everywhere")
        if call.name in names:
            faults.add(f"{at} name", "is another call's too", "give each its own")
        names[call.name] = at
        if call.source == "-" or call.source.startswith("fifo:"):
            if call.source in streams:
                faults.add(f"{at} source", f"is already read by {streams[call.source]}", "each reader would get a part of it")
            streams[call.source] = at
        missing = "encoding" if call.encoding is None else "sample_rate"
        if (call.encoding is None) != (call.sample_rate is None) and not faults.has(f"{at} {missing}"):
            faults.add(at, f"has no {missing}", "headerless audio needs encoding and sample_rate, both")
        known = call.channels or (1 if call.encoding else None)  # else the audio's own header decides
        if call.labels and known and len(call.labels) != known:
            faults.add(f"{at} labels", f"has {len(call.labels)} for {known} channels", "give each channel one")
    if not document.get("call") and not document.get("intake"):
        faults.add("", "has no [[call]] and no [[intake]]", "there is nothing to transcribe: see config/supervisor.toml")
    elif len(calls) > config.limits.max_calls and not faults.has("[limits] max_calls"):
        faults.add("[limits] max_calls", f"is {config.limits.max_calls}", f"there are {len(calls)} calls in this file")


def _sinks(
    sinks: Sequence[tuple[str, SinkConfig]], document: Mapping[str, Any], environ: Mapping[str, str], faults: Faults
) -> None:
    places: dict[tuple[str, str | None], str] = {}
    names: set[str | None] = set()
    for at, sink in sinks:
        _keys_of_its_kind(at, sink, KEYS_OF_SINKS, sink.kind, faults)
        if sink.kind == "files" and sink.directory is None:
            faults.add(at, "has no directory", "name the one that the transcripts go into")
        if sink.kind == "webhook":
            _webhook(at, sink, environ, faults)
        place = (sink.kind, sink.url or (sink.directory and os.path.normpath(sink.directory) + sink.format))
        if place in places:
            faults.add(at, "writes where another sink does", "take one of them out")
        if sink.name is not None and sink.name in names:
            faults.add(f"{at} name", "is another sink's too", "give each its own")
        names.add(sink.name)
        places[place] = at
    last = [at for at, sink in sinks if sink.last_resort]
    if len(last) > 1:
        faults.add(f"{last[1]} last_resort", "is another sink's too", "there can be one")
    if last and len(last) == len(sinks):
        faults.add(f"{last[0]} last_resort", "is true", "it needs another sink: it gets what that cannot take, and nothing else")
    if not document.get("sink") and is_journal(STDOUT, environ):
        faults.add("", "has no [[sink]]", 'transcripts would go into the journal: add one of kind "files", or "stdout"')


def _intakes(intakes: Sequence[tuple[str, IntakeConfig]], faults: Faults) -> None:
    names: dict[str, str] = {}
    places: dict[str, str] = {}
    for at, intake in intakes:
        if not intake.name.isprintable() or len(intake.name) > 60:
            faults.add(f"{at} name", "is not printable, or longer than 60 characters", "it names the intake in logs and metrics")
        if intake.name in names:
            faults.add(f"{at} name", "is another intake's too", "give each its own")
        names[intake.name] = at
        _keys_of_its_kind(at, intake, KEYS_OF_INTAKES, intake.kind, faults)
        if intake.kind == "directory":
            place = os.path.normpath(intake.directory or "")
            if intake.directory is None:
                faults.add(at, "has no directory", "name the one to watch")
        else:
            place = intake.listen or ""
            _listens(at, intake, faults)
        if place and place in places:
            faults.add(at, f"is where {places[place]} is", "give each its own place")
        places[place] = at
        if (intake.encoding is None) != (intake.sample_rate is None):
            missing = "encoding" if intake.encoding is None else "sample_rate"
            faults.add(at, f"has no {missing}", "audio without a header line needs encoding and sample_rate, both")


def _listens(at: str, intake: IntakeConfig, faults: Faults) -> None:
    """Nobody beyond this machine may bring calls who is not named: neither protocol has a password."""
    for network in intake.allow:
        try:
            ip_network(network)
        except ValueError:
            faults.add(f"{at} allow", f"has {found_as(network)}", "it must be a network, such as 10.0.0.0/24")
    if intake.listen is None:
        faults.add(at, "has no listen", "such as 127.0.0.1:9092")
        return
    if (address := _address(f"{at} listen", intake.listen, faults)) and not (address.is_loopback or intake.allow):
        faults.add(f"{at} listen", f"is {found_as(intake.listen)}", 'say who may connect, such as allow = ["10.0.0.0/24"]')


def _keys_of_its_kind(at: str, values: object, keys: Mapping[str, tuple[str, ...]], kind: str, faults: Faults) -> None:
    """Keys that another kind has say that something else is meant."""
    defaults = {field.name: field.default for field in dataclasses.fields(values)}  # type: ignore[arg-type]
    for key, kinds in keys.items():
        if kind not in kinds and getattr(values, key) != defaults[key]:
            faults.add(f"{at} {key}", "is not a key of this kind", f"it belongs to {' and '.join(kinds)}")


def _address(key: str, text: str, faults: Faults) -> IPv4Address | IPv6Address | None:
    try:
        address, port = parse_address(text)
    except ValueError:
        address, port = None, 0
    if not port:
        faults.add(key, f"is {found_as(text)}", "it must be an address and a port, such as 127.0.0.1:9464 or [::1]:9464")
    return address


def _webhook(at: str, sink: SinkConfig, environ: Mapping[str, str], faults: Faults) -> None:
    try:
        parts = urlsplit(sink.url or "")
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if sink.url is None:
        faults.add(at, "has no url", "name the one that its events are posted to")
    elif wrong or parts.username or parts.password:
        faults.add(f"{at} url", "is not the URL of a webhook", "it is https://HOST/PATH, without a password in it")
    elif parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        faults.add(f"{at} url", "is not encrypted", "transcripts leave this machine over https:// only")
    if sink.secret is None:
        faults.add(at, "has no secret", "say where the secret is that its messages are signed with: file:PATH, env:NAME")
    else:
        try:
            credential_from(sink.secret, environ)
        except Problem as problem:
            faults.also(f"{at} secret", problem)
    if sink.ca is not None and not os.access(sink.ca, os.R_OK):
        faults.add(f"{at} ca", f"is {found_as(sink.ca)}", "no such file can be read: name the CA's PEM file")


def _operators(config: Config, faults: Faults) -> None:
    if config.admin and not config.admin.socket.startswith("/"):
        faults.add("[admin] socket", f"is {found_as(config.admin.socket)}", "it must be a path that begins with /")
    if config.metrics:
        _address("[metrics] listen", config.metrics.listen, faults)


def _options(calls: Sequence[tuple[str, CallConfig | IntakeConfig]], config: Config, faults: Faults) -> tuple[str, ...]:
    """Each call's and each intake's options as the server will see them. What they have from [deepgram] is told once, and as that."""
    told: dict[str, None] = {}
    warnings: dict[str, None] = {}
    for at, call in sorted(calls, key=lambda found: bool(found[1].options)):
        options = config.options(call)
        try:
            warnings |= dict.fromkeys(check_options(options, audio_of(call, options), config.deepgram.url).warnings)
        except WrongOptions as wrong:
            for fault in wrong.faults:
                if str(fault) not in told:
                    faults.also(f"{at} options" if call.options else "[deepgram] options", fault)
                told[str(fault)] = None
        except Problem:  # the URL, which has been told of
            pass
    return tuple(warnings)


def audio_of(call: CallConfig | IntakeConfig, options: Mapping[str, object]) -> AudioFormat:
    """The call's audio; where its own header decides, some audio that the options do not contradict."""
    if isinstance(call, IntakeConfig) and call.kind == "audiosocket":
        return AudioFormat(call.codec_override or "linear16", 8000)
    encoding, rate = call.encoding or options.get("encoding"), call.sample_rate or options.get("sample_rate")
    return AudioFormat(
        encoding if isinstance(encoding, str) and encoding in SAMPLE_BYTES else "linear16",
        rate if isinstance(rate, int) and rate > 0 else 16000,
        max(1, call.channels or 1),
    )
