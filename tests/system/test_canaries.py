"""Canaries are planted wherever a call brings something private, and every output there is is searched for them.

Three services run side by side, which differ in how they log, and take the same calls.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import partial

import pytest
import trio

from supervisor import cli
from supervisor.emulator.plan import Plan
from supervisor.logs import build
from tests.system.canaries import CALLER, KEY, KEYS, NUMBERS, SECRET, SOUNDS, SPOKEN, TOUCHES, TYPED, WORDS, leaks
from tests.system.planted import PLAN, Engine, Receiver, Site, hummed
from tests.system.processes import beside_an_emulator, command, wav

LOGGING = {
    "info": ("--log-format", "json"),
    "journal": ("--log-level", "debug"),
    "console": ("--log-level", "debug", "--log-format", "console"),
}
EVENTS = ("session_closed", "call_ended", "connection_rejected", "reload_failed", "server_complained", "output_stuck", "admin")


@dataclass
class Seen:
    """All that three services let out, by where it was."""

    sites: list[Site]
    sinks: dict[str, bytes]
    emulator: bytes

    def at(self, *beginnings):
        found = {f"{site.name}: {name}": text for site in self.sites for name, text in site.out.items() if name.startswith(beginnings)}
        return found | ({"the emulator's log": self.emulator} if "" in beginnings else {})


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    directory = tmp_path_factory.mktemp("canaries")
    receiver, sites = Receiver(), []

    async def test(url, emulator):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, receiver.serve, 0, host="127.0.0.1"))
            webhook = listeners[0].socket.getsockname()[1]
            for name, arguments in LOGGING.items():
                sites.append(Site(name, directory / name, url, webhook, arguments, journal=name == "journal"))
            async with trio.open_nursery() as services:
                for site in sites:
                    services.start_soon(site.run, receiver)
            nursery.cancel_scope.cancel()

    with (directory / "emulator").open("w+b") as told:
        beside_an_emulator(test, Plan(PLAN, each_call=True), engine=Engine(), api_key=KEY, log=build({}, fd=told.fileno()))
        told.seek(0)
        emulator_log = told.read()
    sinks = {str(path): path.read_bytes() for site in sites for path in site.transcripts.iterdir()}
    return Seen(sites, {**sinks, "the webhook": receiver.taken}, emulator_log)


def test_there_was_all_of_it_to_be_seen(seen):
    """Each service came to its end, lost nobody, and told of whatever went wrong."""
    for site in seen.sites:
        log = site.out["stderr"]

        assert site.code == 0
        assert all(not leg.torn_down for leg in site.legs), [leg.verdict for leg in site.legs]
        assert [event for event in EVENTS if event.encode() not in log] == []
        assert b"+1555***1946" in log
        assert str(site.legs[0].uuid).encode() in log  # which call it was is no secret
        assert b"Traceback" not in log
        assert b"STATUS=" in site.out["sd_notify"]
        assert CALLER.encode() in site.out["admin calls"]  # an operator sees who called
        assert SPOKEN.encode() in b"".join(text for name, text in seen.sinks.items() if str(site.transcripts) in name)
    assert SPOKEN.encode() in seen.sinks["the webhook"]
    assert b"<4>{" in seen.sites[1].out["stderr"]  # as the journal has it


def test_what_is_typed_is_nowhere(seen):
    assert leaks(seen.at("") | seen.sinks, TOUCHES) == []


def test_audio_is_nowhere(seen):
    assert leaks(seen.at("") | seen.sinks, SOUNDS) == []


def test_what_is_said_is_nowhere_but_in_the_sinks(seen):
    assert leaks(seen.at(""), WORDS) == []


def test_who_called_is_in_no_log_and_in_no_metric(seen):
    assert leaks(seen.at("stderr", "stdout", "sd_notify", "/"), NUMBERS) == []


def test_the_key_is_in_no_log_and_in_no_metric(seen):
    assert leaks(seen.at("stderr", "stdout", "sd_notify", "/", "health", "admin reload", "admin health"), KEYS) == []


def test_the_key_is_nowhere_even_if_the_server_repeats_it(seen):
    assert leaks(seen.at("") | seen.sinks, KEYS) == []


WRONG = {
    "a key for an option's name": f'"{KEY}" = "x"',
    "a key instead of its place": f'api_key = "{KEY}"',
    "a key for a file's name": f'api_key = "file:{KEY}"',
    "a key for a variable's name": f'api_key = "env:{KEY}"',
    "a key for a prefix": f'api_key = "{KEY}:x"',
    "a key of a wrong type": f'api_key = ["{KEY}"]',
    "a key without its quotes": f"api_key = {KEY}",
    "a key whose quotes do not end": f'api_key = "{KEY}',
    "a key in the URL": f'url = "wss://{KEY}@127.0.0.1/v1/listen"',
    "a key in the query": f'url = "wss://127.0.0.1/v1/listen?token={KEY}"',
    "a secret instead of its place": f'[[sink]]\nkind = "webhook"\nurl = "https://127.0.0.1/"\nsecret = "{SECRET}"',
    "a secret in the URL": f'[[sink]]\nkind = "webhook"\nurl = "https://me:{SECRET}@127.0.0.1/"\nsecret = "env:X"',
}


@pytest.mark.parametrize("line", WRONG.values(), ids=WRONG)
def test_a_config_with_a_key_in_it_is_wrong_and_is_not_quoted(tmp_path, capfd, line):
    path = tmp_path / "supervisor.toml"
    path.write_text(f'version = 1\n[deepgram]\n{line}\n[[sink]]\nkind = "stdout"\n')

    assert cli.run(["check", str(path)], {"X": SECRET}) == 78
    said = "".join(capfd.readouterr()).encode()
    assert b"supervisor.toml" in said
    assert leaks({"the answer": said}, KEYS) == []


def test_a_command_line_with_a_key_in_it_is_wrong_and_is_not_quoted(tmp_path):
    async def main():
        with trio.fail_after(30):
            for arguments in (("transcribe", audio, "--api-key", KEY), ("run", path), ("run", path, KEY)):
                ran = await command(*arguments)
                answers[str(arguments[:2])] = ran.out + ran.err
                codes.append(ran.code)

    answers, codes, audio, path = {}, [], wav(tmp_path / "audio.wav", 0.1), tmp_path / "supervisor.toml"
    path.write_text(f'version = 1\n[deepgram]\napi_key = "{KEY}"\n')
    trio.run(main)

    assert codes == [64, 78, 64]
    assert leaks(answers, KEYS) == []


@pytest.mark.parametrize(
    ("text", "canaries"),
    [
        (KEY[5:25].encode(), KEYS), (repr(KEY).encode(), KEYS), (base64.b64encode(b"token:" + KEY.encode()), KEYS),
        (KEY.encode().hex().encode(), KEYS), (SECRET[:20].encode(), KEYS),
        (repr(hummed(3)).encode(), SOUNDS), (json.dumps(hummed(7).decode()).encode(), SOUNDS), (hummed(5).hex().encode(), SOUNDS),
        (base64.b64encode(hummed(11)), SOUNDS), (str(list(hummed(9))).encode(), SOUNDS), (hummed(0)[:12], SOUNDS),
        (repr(list(TYPED.decode())).encode(), TOUCHES), (TYPED, TOUCHES), (b"".join(b"\nkey=%c" % key for key in TYPED), TOUCHES),
        (b'{"digit":"***"}', TOUCHES), (b"Kumquatmarmaladea7.", WORDS), (base64.b64encode(b'{"word":"kumquatmarmaladea7"}'), WORDS),
        (b"+44 (20) 7946-0857", NUMBERS), (b"caller=%2B442079460857", NUMBERS), (b'"7301946"', NUMBERS),
    ],
)  # fmt: skip
def test_the_net_has_no_hole_for(text, canaries):
    assert leaks({"somewhere": b"before it " + text + b" after it"}, canaries)
