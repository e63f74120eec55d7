"""What a config's values must be among themselves, and in the world they will be used in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from supervisor.core.audio import SAMPLE_BYTES, AudioFormat
from supervisor.core.catalogue import check_overrides
from supervisor.core.options import WrongOptions, check_options, check_url
from supervisor.core.problem import Problem
from supervisor.core.settings import BufferSettings, RetrySettings
from supervisor.credential import credential_from
from supervisor.logs import is_journal

from .model import AdminConfig, CallConfig, Config, IntakeConfig, MetricsConfig, SinkConfig
from .numbers import out_of_range
from .table import Faults, found_as

Tables = Mapping[str, list[tuple[str, Any]]]  # each with what it is called in messages

STDOUT = 1


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
    _later(tables, faults)
    return _options(tables["call"], config, faults)


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
    if not document.get("call"):
        faults.add("", "has no [[call]]", "there is nothing to transcribe: see config/supervisor.toml")
    elif len(calls) > config.limits.max_calls and not faults.has("[limits] max_calls"):
        faults.add("[limits] max_calls", f"is {config.limits.max_calls}", f"there are {len(calls)} calls in this file")


def _sinks(
    sinks: Sequence[tuple[str, SinkConfig]], document: Mapping[str, Any], environ: Mapping[str, str], faults: Faults
) -> None:
    places: dict[tuple[str, str | None], str] = {}
    for at, sink in sinks:
        if sink.kind == "files" and sink.directory is None:
            faults.add(at, "has no directory", "name the one that the transcripts go into")
        if sink.kind == "stdout" and sink.directory is not None:
            faults.add(f"{at} directory", "is not a key of this kind", 'it belongs to kind = "files"')
        place = (sink.kind, sink.directory and os.path.normpath(sink.directory) + sink.format)
        if place in places:
            faults.add(at, "writes where another sink does", "take one of them out")
        places[place] = at
    if not document.get("sink") and is_journal(STDOUT, environ):
        faults.add("", "has no [[sink]]", 'transcripts would go into the journal: add one of kind "files", or "stdout"')


def _later(tables: Tables, faults: Faults) -> None:
    """What is a config already, though nothing answers to it yet."""
    for at, intake in tables["intake"]:
        _intake(at, intake, faults)
    for at, values in tables.get("admin", []):
        admin: AdminConfig = values
        if not admin.socket.startswith("/"):
            faults.add(f"{at} socket", f"is {found_as(admin.socket)}", "it must be a path that begins with /")
    for at, values in tables.get("metrics", []):
        metrics: MetricsConfig = values
        _address(f"{at} listen", metrics.listen, faults)
    for kind in ("intake", "admin", "metrics"):
        for at, _ in tables.get(kind, []):
            faults.add(at, "is not in this version", "take it out")


def _intake(at: str, intake: IntakeConfig, faults: Faults) -> None:
    if intake.kind == "directory":
        if intake.directory is None:
            faults.add(at, "has no directory", "name the one to watch")
    elif intake.listen is None:
        faults.add(at, "has no listen", "such as 127.0.0.1:9092")
    else:
        _address(f"{at} listen", intake.listen, faults)
    for network in intake.allow:
        try:
            ip_network(network)
        except ValueError:
            faults.add(f"{at} allow", f"has {found_as(network)}", "it must be a network, such as 10.0.0.0/24")


def _address(key: str, address: str, faults: Faults) -> None:
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        faults.add(key, f"is {found_as(address)}", "it must be an address and a port, such as 127.0.0.1:9464")


def _options(calls: Sequence[tuple[str, CallConfig]], config: Config, faults: Faults) -> tuple[str, ...]:
    """Each call's options as the server will see them. What they have from [deepgram] is told once, and as that."""
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


def audio_of(call: CallConfig, options: Mapping[str, object]) -> AudioFormat:
    """The call's audio; where its own header decides, some audio that the options do not contradict."""
    encoding, rate = call.encoding or options.get("encoding"), call.sample_rate or options.get("sample_rate")
    return AudioFormat(
        encoding if isinstance(encoding, str) and encoding in SAMPLE_BYTES else "linear16",
        rate if isinstance(rate, int) and rate > 0 else 16000,
        max(1, call.channels or 1),
    )
