"""`check --network`: what a caller would meet first, found before there is one; and told in a line."""

from __future__ import annotations

import datetime
import random
import socket
import ssl

import pytest
import trio
import trustme

from supervisor.config import CallConfig, Config, DeepgramConfig, IntakeConfig
from supervisor.core.options import check_options
from supervisor.core.problem import Exit
from supervisor.credential import Credential
from supervisor.dial import Route, route
from supervisor.emulator.faults import Garbage, NoClose, NoMetadata, Refuse, Reset, Silent, Undecodable
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator
from supervisor.probing import Failed, look_at, probes_of, try_out
from supervisor.service import Deepgram
from tests.simulation import Routed, simulate
from tests.system.processes import beside_an_emulator, command

PBX = IntakeConfig("pbx", "audiosocket", "127.0.0.1:9092")
ELSEWHERE = Route("server", 443, None, proxy="http://proxy:3128")  # nothing of it is looked at


def tried(*faults, config=None, credential=None, route=ELSEWHERE, connection=None, then=None):
    """What a check tells, what it warns of, what it finds wrong, and how long it takes; the server is one in memory."""
    told, warned, wrong, took, seen = [], [], [], [], []

    async def main():
        emulator = Emulator(Plan(faults, **({"then": then} if then else {})))
        async with trio.open_nursery() as nursery:
            deepgram = Routed(
                connection or emulator.dial_in(nursery, latency=0.02), credential=credential, entropy=random.Random(1).randbytes
            )
            try:
                await try_out(config or Config(intakes=(PBX,)), deepgram, route, tell=told.append, warn=warned.append)
            except Failed as failed:
                wrong.extend(failed.faults)
            took.append(trio.current_time())
            seen.append(emulator.proof)
            nursery.cancel_scope.cancel()

    simulate(main)
    return told, warned, wrong, took[0], seen[0]


def test_a_session_that_comes_to_its_end_tells_what_it_was():
    told, warned, wrong, took, proof = tried()

    assert (warned, wrong) == ([], [])
    assert told[0] == "\n# 2 s of silence, which Deepgram bills"
    assert told[-1].startswith('[[intake]] "pbx": linear16 8000 Hz, request id ')
    (connection,) = proof.connections
    assert connection.request_id in told[-1]
    assert "opened in 0.0" in told[-1]
    assert 2.0 <= took < 3.0
    assert sum(connection.sizes) == 2 * 16000


def test_each_different_request_is_tried_once_with_the_real_options():
    config = Config(
        intakes=(
            PBX,
            IntakeConfig("same", "audiosocket", "127.0.0.1:9093"),
            IntakeConfig("g711", "audiosocket", "127.0.0.1:9094", codec_override="mulaw"),
            IntakeConfig("de", "audiosocket", "127.0.0.1:9095", options={"language": "de", "numerals": True}),
        ),
        calls=(CallConfig("stereo", "a.raw", encoding="mulaw", sample_rate=8000, channels=2),),
        deepgram=DeepgramConfig(options={"model": "nova-2"}),
    )
    told, _, wrong, _, proof = tried(config=config)

    assert wrong == []
    assert [line.partition(":")[0] for line in told[2:]] == [
        '[[intake]] "pbx", [[intake]] "same"', '[[intake]] "g711"', '[[intake]] "de"', '[[call]] "stereo"',
    ]  # fmt: skip
    assert told[0] == "\n# 4 different requests with 2 s of silence each, which Deepgram bills"
    asked = [tuple(check_options(probe.options, probe.audio).query) for probe in probes_of(config)]
    assert [dict(query)["encoding"] for query in asked] == ["linear16", "mulaw", "linear16", "mulaw"]
    assert [dict(query)["model"] for query in asked] == ["nova-2", "nova-2", "nova-2", "nova-2"]
    assert [sum(connection.sizes) for connection in proof.connections] == [32000, 16000, 32000, 32000]


@pytest.mark.parametrize(
    "fault, code, words",
    [
        (Refuse(status=400, err_msg="No such model/language/tier combination found."), Exit.CONFIG, "400, the request is not valid"),
        (Refuse(status=401), Exit.DENIED, "401, the key is not accepted"),
        (Refuse(status=402), Exit.DENIED, "402, the project has no credit"),
        (Refuse(status=403), Exit.DENIED, "403, the key may not do this"),
        (Refuse(status=429, retry_after=30), Exit.GAVE_UP, "it asks to be left alone for 30 s"),
        (Refuse(status=503), Exit.GAVE_UP, "503, the service is not available"),
        (Silent(), Exit.GAVE_UP, "the upgrade was not answered in time"),
        (Reset(audio=1.0), Exit.GAVE_UP, "1006"),
        (NoClose(), Exit.GAVE_UP, "no end within 10 s of CloseStream"),
        (NoMetadata(), Exit.GAVE_UP, "closed without a Metadata"),
    ],
    ids=lambda value: type(value).__name__ + str(getattr(value, "status", "")) if hasattr(value, "__slots__") else "",
)
def test_what_a_caller_would_meet_is_one_line_with_its_exit_code(fault, code, words):
    _, _, wrong, took, _ = tried(fault)

    (problem,) = wrong
    assert problem.exit_code is code
    assert words in str(problem)
    assert str(problem).startswith('[[intake]] "pbx": ')
    assert "\n" not in str(problem)
    assert took <= 10 + 15


def test_audio_that_the_server_cannot_decode_is_found():
    _, _, wrong, _, _ = tried(Undecodable())

    assert "DATA-0000" in str(wrong[0])


def test_what_a_server_complains_of_is_told_though_the_session_goes_on():
    _, warned, wrong, _, _ = tried(Garbage(audio=0.5, what="error"))

    assert wrong == []
    assert warned == ['[[intake]] "pbx": the server complained: Unexpected: this is a drill']


def test_a_refused_request_does_not_hide_the_others():
    config = Config(intakes=(IntakeConfig("bad", "audiosocket", "127.0.0.1:1", options={"model": "nova-9"}), PBX))
    told, _, wrong, _, _ = tried(Refuse(status=400), config=config)

    assert [str(problem).partition(":")[0] for problem in wrong] == ['[[intake]] "bad"']
    assert told[-1].startswith('[[intake]] "pbx": linear16 8000 Hz, request id ')


def test_a_server_out_of_reach_is_dialled_once():
    dialled = []

    async def refuse():
        dialled.append(trio.current_time())
        raise OSError("cannot reach server port 443: Connection refused")

    config = Config(intakes=(PBX, IntakeConfig("de", "audiosocket", "127.0.0.1:1", options={"language": "de"})))
    _, _, wrong, _, _ = tried(config=config, connection=refuse)

    assert len(dialled) == len(wrong) == 1
    assert "cannot reach server port 443: Connection refused" in str(wrong[0])


def test_a_key_that_cannot_be_read_is_told_and_nothing_is_dialled():
    _, _, wrong, _, proof = tried(credential=Credential("env", "NO_SUCH_KEY", {}))

    assert "NO_SUCH_KEY" in str(wrong[0])
    assert proof.connections == []


# The way to the server: real sockets


def looked(route, *, wall=None, resolver=None):
    told, warned = [], []

    async def main():
        if resolver:
            trio.socket.set_custom_hostname_resolver(resolver)
        with trio.fail_after(10):
            await look_at(route, tell=told.append, warn=warned.append, wall=wall or (lambda: NOW.timestamp()))

    trio.run(main)
    return told, warned


NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """A CA of one's own, and a server with a certificate of it."""

    def __init__(self, tmp_path, days=90.0):
        self.ca = trustme.CA()
        self.path = tmp_path / "ca.pem"
        self.ca.cert_pem.write_to_path(self.path)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        expiry = NOW + datetime.timedelta(days=days)
        self.ca.issue_cert(
            "localhost", not_before=NOW - datetime.timedelta(days=100), not_after=expiry
        ).configure_cert(self.context)


def with_tls(authority, *, trusted=True):
    """A check of a server with that certificate, in a process of its own."""
    ran = []

    async def test(url, emulator):
        ca = f'ca = "{authority.path}"' if trusted else ""
        config = authority.path.with_name("supervisor.toml")
        config.write_text(CONFIG.format(url=url, more=ca))
        ran.append(await command("check", config, "--network"))

    beside_an_emulator(test, tls=authority.context)
    return ran[0]


CONFIG = """
version = 1
[deepgram]
url = "{url}"
{more}
[[intake]]
name = "pbx"
kind = "audiosocket"
listen = "127.0.0.1:9092"
"""


def test_a_certificate_that_expires_soon_is_warned_of_and_all_else_is_well(tmp_path):
    ran = with_tls(Authority(tmp_path, days=5.5))

    assert ran.code == 0
    out = ran.out.decode()
    assert "localhost: resolves to " in out
    assert "localhost: TLSv1.3 in " in out
    assert "its certificate is good for 5 days" in out
    assert '[[intake]] "pbx": linear16 8000 Hz, request id ' in out
    assert "model nova-3" in out
    assert b"warning: the certificate of localhost expires in 5 days" in ran.err


@pytest.mark.parametrize(
    "days, trusted, words",
    [(90.0, False, "unable to get local issuer certificate"), (-3.0, True, "certificate has expired")],
    ids=["an unknown authority", "expired"],
)
def test_a_certificate_that_is_no_good_ends_it_with_a_line(tmp_path, days, trusted, words):
    ran = with_tls(Authority(tmp_path, days), trusted=trusted)

    assert ran.code == Exit.GAVE_UP
    error = ran.err.decode().splitlines()[-1]
    assert error.startswith('stream-supervisor: [[intake]] "pbx": TLS with localhost failed: ')
    assert words in error
    assert "answers in" in ran.out.decode()
    assert "certificate is good" not in ran.out.decode()


def test_without_network_nothing_is_dialled(tmp_path):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        config = tmp_path / "supervisor.toml"
        config.write_text(CONFIG.format(url=f"ws://127.0.0.1:{listening.getsockname()[1]}", more=""))

        assert trio.run(command, "check", config).code == 0
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


class NoNames(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *_args, **_more):
        raise NotImplementedError


def test_a_name_that_does_not_resolve_is_found_by_the_session(tmp_path):
    wrong = []

    async def main():
        trio.socket.set_custom_hostname_resolver(NoNames())
        deepgram = Deepgram("wss://no-such-host.example", Credential("env", "KEY", {"KEY": "a" * 40}), environ={})
        way = route(deepgram.url, environ={})
        with trio.fail_after(10):
            try:
                await try_out(Config(intakes=(PBX,)), deepgram, way, tell=lambda _: None, warn=lambda _: None)
            except Failed as failed:
                wrong.extend(failed.faults)

    trio.run(main)

    assert 'cannot resolve no-such-host.example: Name or service not known' in str(wrong[0])
    assert looked(route("wss://no-such-host.example", environ={}), resolver=NoNames()) == ([], [])


def test_a_port_where_nobody_listens_and_a_proxy():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        told, _ = looked(Route("127.0.0.1", free.getsockname()[1], None))

    assert len(told) == 1
    assert told[0].startswith("127.0.0.1: resolves to 127.0.0.1 in ")
    assert looked(ELSEWHERE)[0] == ["server: through the proxy that HTTPS_PROXY names, which resolves it"]
