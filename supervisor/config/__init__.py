"""The config file: TOML into frozen dataclasses, all of its faults at once.

A config that loads is one that can be run: its options have been checked as the server will see them. Defaults are in
the dataclasses and nowhere else. `config/supervisor.toml` is the reference.
"""

from .describing import describe
from .loading import load
from .model import (
    AdminConfig,
    CallConfig,
    Config,
    DeepgramConfig,
    IntakeConfig,
    LimitsConfig,
    MetricsConfig,
    SinkConfig,
)
from .room import total_bytes
from .table import WrongConfig

__all__ = [
    "AdminConfig",
    "CallConfig",
    "Config",
    "DeepgramConfig",
    "IntakeConfig",
    "LimitsConfig",
    "MetricsConfig",
    "SinkConfig",
    "WrongConfig",
    "describe",
    "load",
    "total_bytes",
]
