"""What a config says, and what it means to leave something out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from supervisor.core.audio import AudioFormat
from supervisor.core.options.spelling import Value
from supervisor.core.settings import Settings


@dataclass(frozen=True, slots=True)
class DeepgramConfig:
    url: str = "wss://api.deepgram.com/v1/listen"  # where the file has none, $DEEPGRAM_URL goes before this
    api_key: str | None = None  # where the key is; None = $DEEPGRAM_API_KEY, if that is set
    options: Mapping[str, Value] = field(default_factory=dict)
    ca: str | None = None  # a PEM file, trusted beside the system's


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    max_calls: int = 100
    drain_timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class CallConfig:
    name: str
    source: str
    encoding: Literal["linear16", "linear32", "mulaw", "alaw"] | None = None  # None = as the audio's own header says
    sample_rate: int | None = None
    channels: int | None = None
    labels: tuple[str, ...] = ()  # of the channels
    live: bool | None = None  # None = as the kind of source is
    pace: Literal["realtime", "max"] | None = None  # None = realtime
    metadata: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Value] = field(default_factory=dict)  # over those of [deepgram]

    def format(self) -> AudioFormat | None:
        """The audio, as far as the config can say: None where the source's own header decides."""
        if self.encoding is None or self.sample_rate is None:
            return None
        return AudioFormat(self.encoding, self.sample_rate, self.channels or 1)


@dataclass(frozen=True, slots=True)
class SinkConfig:
    kind: Literal["files", "stdout", "webhook"]
    name: str | None = None  # in logs and metrics; None = its kind
    directory: str | None = None  # of files
    format: Literal["jsonl", "text"] = "jsonl"  # of files and stdout
    interims: bool = False
    url: str | None = None  # of a webhook
    secret: str | None = None  # of a webhook: the place of what its messages are signed with
    ca: str | None = None  # of a webhook: a PEM file, trusted beside the system's
    last_resort: bool = False  # of files: for what another sink cannot take, and nothing else


@dataclass(frozen=True, slots=True)
class IntakeConfig:
    name: str
    kind: Literal["audiosocket", "tcp", "directory"]
    listen: str | None = None  # of audiosocket and tcp
    allow: tuple[str, ...] = ()  # networks that may connect from beyond this machine
    directory: str | None = None  # of directory
    labels: tuple[str, ...] = ()  # of the channels
    metadata: Mapping[str, str] = field(default_factory=dict)  # of each call
    options: Mapping[str, Value] = field(default_factory=dict)  # over those of [deepgram]
    silence: bool = True  # of audiosocket: a frame back each second while nothing comes, or Asterisk hangs up after two
    codec_override: Literal["mulaw", "alaw"] | None = None  # of audiosocket: what frames of 160 bytes really hold
    encoding: Literal["linear16", "linear32", "mulaw", "alaw"] | None = None  # of tcp: of audio without a header line
    sample_rate: int | None = None
    channels: int | None = None
    pace: Literal["realtime", "max"] = "max"  # of directory
    format: Literal["jsonl", "text"] = "jsonl"  # of directory: of the transcript beside the audio


@dataclass(frozen=True, slots=True)
class AdminConfig:
    socket: str = "/run/stream-supervisor/admin.sock"


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    listen: str = "127.0.0.1:9464"


@dataclass(frozen=True, slots=True)
class Config:
    calls: tuple[CallConfig, ...] = ()
    intakes: tuple[IntakeConfig, ...] = ()
    sinks: tuple[SinkConfig, ...] = (SinkConfig("stdout"),)
    version: int = 1
    deepgram: DeepgramConfig = field(default_factory=DeepgramConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    settings: Settings = field(default_factory=Settings)
    admin: AdminConfig | None = None  # nobody is served
    metrics: MetricsConfig | None = None  # likewise
    warnings: tuple[str, ...] = ()

    def options(self, of: CallConfig | IntakeConfig) -> dict[str, Value]:
        """Deepgram's options for a call, or for what an intake brings: what it says, over what all have."""
        return {**self.deepgram.options, **of.options}
