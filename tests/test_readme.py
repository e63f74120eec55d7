"""The README against the code: what it lists is what there is."""

import re
from pathlib import Path

import pytest

from supervisor.cli import parser
from supervisor.core.catalogue import TABLE
from supervisor.core.closure import Verdict
from supervisor.core.problem import Exit
from supervisor.core.settings import RetrySettings, SessionSettings, Settings
from supervisor.events import GapReason

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows(heading):
    """The cells of the table under a heading."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_every_exit_code_is_listed():
    assert [int(code) for code, _ in rows("Exit codes")] == [int(code) for code in Exit]


def test_every_closure_has_its_verdict():
    """Each key of the table that decides stands in one row, and the row says what is done."""
    told = rows("Closures")
    words = {
        "dns": "no address", "refused": "refused,", "tls": "TLS", "proxy": "proxy", "upgrade": "no answer",
        "dial": "no answer", "key": "no key", "ping": "no pong", "results": "no results", "1011-ping": "1011",
        "stalled": "no answer", "patience": "no answer", "ended": "no finals", "unknown": "nobody knows",
        "1000-asked": "1000 (or 1005) after CloseStream", "1005-asked": "1000 (or 1005) after CloseStream",
        "1000": "1000, 1005 that nobody", "1005": "1000, 1005 that nobody", "4xx": "another 4xx",
    }  # fmt: skip
    for key, entry in TABLE.items():
        found = [verdict for closure, verdict in told if words.get(key, key) in closure]
        assert found, key
        wanted = "retry" if entry.verdict is Verdict.RETRY else "abort"
        assert any(wanted in verdict for verdict in found), key
        if entry.exit_code is not Exit.GAVE_UP:
            assert any(str(int(entry.exit_code)) in verdict for verdict in found), key


def test_every_command_is_listed():
    commands = re.findall(r"^    (\w+)(?: |$)", parser().format_help(), re.MULTILINE)

    listed = [name for first, _ in rows("Use it") for name in re.findall(r"`(\w+)", first)]
    assert sorted(set(listed)) == sorted(commands)


def test_every_event_and_reason_is_listed():
    source = (ROOT / "supervisor" / "events.py").read_text()
    tags = re.findall(r'tag="(\w+)"', source)
    listed = " ".join(first for first, _ in rows("Events"))

    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(tags)
    for reason in GapReason.__args__:
        assert f"`{reason}`" in README


@pytest.mark.parametrize("link", re.findall(r"\]\(([\w/.]+)\)", README))
def test_what_it_links_to_is_there(link):
    assert (ROOT / link).exists()


def test_its_numbers_are_the_defaults():
    settings = Settings()
    assert f"{settings.buffer.seconds:g} s a call" in README
    assert f"After {RetrySettings().give_up_after:g} s without it" in README
    assert f"then {RetrySettings().initial:g} s doubling to {RetrySettings().longest:g} s" in README
    assert f"within {RetrySettings().first * 1000:g} ms" in README
    session = SessionSettings()
    assert f"no pong in {session.pong:g} s, no results in {session.results_timeout:g} s" in README
    assert f"no finals in {session.finals_lag:g} s of audio" in README


def test_the_two_commands_are_targets():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
