"""A config from text, as a person would write it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from supervisor.config import Config, WrongConfig, load

GOOD = """
version = 1
[deepgram]
url = "ws://127.0.0.1:8080"
[[call]]
name = "line-1"
source = "calls/one.wav"
[[sink]]
kind = "files"
directory = "transcripts"
"""


def loaded(text: str | bytes, environ: Mapping[str, str] | None = None) -> Config:
    """Raises WrongConfig, in which the file is called F."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(text if isinstance(text, bytes) else text.encode())
        file.flush()
        return load(file.name, environ or {})


def faults(text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
    """A line for each fault, without the file's name."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "F")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            load(path, environ or {})
        except WrongConfig as wrong:
            return [str(line).removeprefix(str(path)).removeprefix(":").strip() for line in wrong.problems]
        return []
