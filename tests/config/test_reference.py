"""`config/supervisor.toml` is the reference: every key there is, with its true default and a reason, and nothing else."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import describe, load
from supervisor.config.loading import REPEATED, SINGLE
from tests.config.loading import faults, loaded

FILE = Path(__file__).parents[2] / "config" / "supervisor.toml"
TEXT = FILE.read_text()
ALL = {**SINGLE, **REPEATED}
OPTIONAL = ("intake", "admin", "metrics")
# A call and a sink have to be something: these keys have an example's values.
EXAMPLES = {"call": {"name", "source", "encoding", "sample_rate"}, "sink": {"kind", "directory"}}


def uncommented() -> dict[str, Any]:
    """The file with every key that is commented out taken in."""
    return tomllib.loads(re.sub(r"(?m)^#(?=\[|[a-z_]+ = )", "", TEXT))


def table_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document[name]
    table: dict[str, Any] = found[0] if isinstance(found, list) else found
    return table


def test_it_loads_and_can_be_described() -> None:
    config = load(FILE, {})

    assert config.warnings == ()
    assert "line-1" in describe(config)


@pytest.mark.parametrize("name", ALL)
def test_it_has_every_key_of_every_table_in_their_order(name: str) -> None:
    assert list(table_of(uncommented(), name)) == [field.name for field in dataclasses.fields(ALL[name])]


def test_it_has_no_other_table() -> None:
    assert list(uncommented()) == ["version", "deepgram", "limits", "buffer", "session", "retry", "fleet", "call", "sink", *OPTIONAL]


@pytest.mark.parametrize("name", [name for name in ALL if name not in OPTIONAL])
def test_what_stands_there_is_the_default_and_what_has_none_is_commented_out(name: str) -> None:
    table = table_of(tomllib.loads(TEXT), name)
    for field in dataclasses.fields(ALL[name]):
        if field.name in EXAMPLES.get(name, set()):
            continue
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if default is None or default == ():
            assert field.name not in table
        else:
            assert table[field.name] == default
            assert type(table[field.name]) is type(default)


def test_what_may_be_left_out_altogether_is_commented_out() -> None:
    assert not set(OPTIONAL) & set(tomllib.loads(TEXT))


def test_every_key_and_every_table_has_its_reason() -> None:
    lines = [line for line in TEXT.splitlines() if re.match(r"#?(\[|[a-z_]+ = )", line)]

    assert len(lines) > 60
    for line in lines:
        value, comment = re.fullmatch(r"#?((?:[^\"#]|\"[^\"]*\")*)#(.*)", line).groups()  # type: ignore[union-attr]
        assert value.strip()
        assert len(comment.strip()) > 8, line


@pytest.mark.parametrize("line", [line for line in TEXT.splitlines() if re.match(r"#[a-z_]+ = ", line)])
def test_what_is_commented_out_may_be_taken_in(line: str) -> None:
    """One at a time, as a reader would, with the table it stands in; the CA files are not on this machine."""
    at = TEXT.index(line)
    if at > TEXT.index("#[[intake]]"):
        text = re.sub(r"(?m)^#(?=\[|(name|kind|listen|allow|socket) = )", "", TEXT)
        text = text.replace(line, line[1:]) if line in text else text
    else:
        text = TEXT.replace(line, line[1:], 1)
    elsewhere = ("no such file can be read", "is not a key of this kind", "has no sample_rate", "has no encoding")
    found = faults(text, {"DEEPGRAM_API_KEY": "k" * 40})

    assert [fault for fault in found if not any(each in fault for each in elsewhere)] == []


EXAMPLE = """
version = 1
[deepgram]
url = "wss://api.eu.deepgram.com/v1/listen"
api_key = "file:/etc/stream-supervisor/deepgram-api-key"   # or env:NAME, credential:NAME, command:...
options = { model = "nova-3", language = "en", keyterm = ["Acme"], redact = ["pci"] }
[limits]
max_calls = 100
drain_timeout = 300
[buffer]
seconds = 600          # per call; older live audio becomes a gap
total = "1 GiB"        # all calls; default: half of the cgroup's or machine's memory
[[call]]
name = "line-1"
source = "fifo:/run/line-1.pcm"
encoding = "mulaw"
sample_rate = 8000
[[sink]]
kind = "files"         # or stdout (under systemd only when asked for)
directory = "/var/lib/stream-supervisor/transcripts"   # files 0600
"""
OF_A_SERVICE = """
[[intake]]
name = "pbx"
kind = "audiosocket"
listen = "10.0.0.5:9092"
allow = ["10.0.0.0/24"]
[admin]
socket = "/run/stream-supervisor/admin.sock"
[metrics]
listen = "127.0.0.1:9464"
"""


def test_the_promised_config_loads_without_reading_its_key() -> None:
    config = loaded(EXAMPLE)

    assert config.settings.buffer.total == 2**30
    assert config.options(config.calls[0])["redact"] == ["pci"]
    assert config.limits.drain_timeout == 300.0


def test_so_does_the_promised_service() -> None:
    config = loaded(EXAMPLE + OF_A_SERVICE)

    (intake,) = config.intakes
    assert (intake.kind, intake.listen, intake.allow) == ("audiosocket", "10.0.0.5:9092", ("10.0.0.0/24",))
    assert config.admin
    assert config.admin.socket == "/run/stream-supervisor/admin.sock"
    assert config.metrics
    assert config.metrics.listen == "127.0.0.1:9464"
    assert '[[intake]]\nname = "pbx"' in describe(config)


def test_who_serves_nobody_says_nothing() -> None:
    config = loaded(EXAMPLE)

    assert (config.intakes, config.admin, config.metrics) == ((), None, None)
