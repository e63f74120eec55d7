"""The server as one call needs it: who is asking, for what, and with which key."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio

from supervisor import __version__
from supervisor.connection import Endpoint
from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit, Problem
from supervisor.core.settings import SessionSettings
from supervisor.credential import Credential
from supervisor.service import Deepgram, Service

URL = "wss://api.deepgram.com/v1/listen"
TELEPHONE = AudioFormat("mulaw", 8000)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


def key(value: str = "abc123") -> Credential:
    return Credential("env", "KEY", {"KEY": value})


def offered(url: str = URL, credential: Credential | None = None, audio: AudioFormat = TELEPHONE, **options: object) -> Service:
    return Deepgram(url, credential, environ={}).offer(options)(audio, "session-1")


def ask(service: Service) -> Endpoint:
    return trio.run(service.endpoint)


def query(endpoint: Endpoint) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(endpoint.resource).query)


@pytest.mark.parametrize("secret, header", [("abc123", b"Token abc123"), (JWT, f"Bearer {JWT}".encode())])
def test_a_key_and_a_token_are_each_shown_in_their_own_way(secret: str, header: bytes) -> None:
    assert (b"Authorization", header) in ask(offered(credential=key(secret))).headers


def test_each_attempt_of_a_call_shows_the_same_session_id_and_the_version() -> None:
    service = offered(credential=key())
    for _ in range(2):
        headers = dict(ask(service).headers)

        assert headers[b"x-deepgram-session-id"] == b"session-1"
        assert headers[b"User-Agent"] == f"stream-supervisor/{__version__}".encode()


def test_the_key_is_read_again_for_each_attempt(tmp_path: Path) -> None:
    """A key that was changed after a 401 is the one that is shown."""
    path = tmp_path / "key"
    path.write_text("old\n")
    service = offered(credential=Credential("file", str(path)))

    assert dict(ask(service).headers)[b"Authorization"] == b"Token old"

    path.write_text("new\n")

    assert dict(ask(service).headers)[b"Authorization"] == b"Token new"


def test_without_a_key_nothing_is_shown() -> None:
    assert b"Authorization" not in dict(ask(offered("ws://localhost:8080")).headers)


def test_the_request_names_the_audio_and_the_options_and_always_wants_interims() -> None:
    options = {"model": "nova-3", "interim_results": False, "keyterm": ["Acme & Co", "Zürich"], "endpointing": 300}
    service = offered(credential=key(), audio=AudioFormat("linear16", 16000, 2), **options)
    endpoint = ask(service)

    assert endpoint.host == "api.deepgram.com"
    assert urlsplit(endpoint.resource).path == "/v1/listen"
    assert set(query(endpoint)) == {
        ("model", "nova-3"), ("encoding", "linear16"), ("sample_rate", "16000"), ("channels", "2"),
        ("multichannel", "true"), ("smart_format", "true"), ("interim_results", "true"), ("endpointing", "300"),
        ("keyterm", "Acme & Co"), ("keyterm", "Zürich"),
    }  # fmt: skip
    assert endpoint.resource.isascii()
    assert " " not in endpoint.resource
    assert not service.interims


def test_what_the_options_mean_for_what_is_told() -> None:
    plain = offered(credential=key())

    assert (plain.interims, plain.utterances, plain.whole_finals) == (True, False, False)

    full = offered(credential=key(), redact=["pci"], utterance_end_ms=1000)

    assert (full.utterances, full.whole_finals) == (True, True)


@pytest.mark.parametrize("url, host, path", [
    ("wss://api.eu.deepgram.com", "api.eu.deepgram.com", "/v1/listen"),
    ("wss://gateway.example.com:8443/speech/v1/listen", "gateway.example.com:8443", "/speech/v1/listen"),
    ("ws://[::1]:9000", "[::1]:9000", "/v1/listen"),
])  # fmt: skip
def test_the_host_and_the_path_are_the_urls(url: str, host: str, path: str) -> None:
    endpoint = ask(offered(url, key()))

    assert (host, path) == (endpoint.host, urlsplit(endpoint.resource).path)


@pytest.mark.parametrize("url", [URL, "wss://API.Deepgram.com", "wss://api.eu.deepgram.com", "wss://deepgram.com",
                                 "ws://api.deepgram.com", "wss://api.deepgram.com.", "wss://api.deepgram.com:443"])  # fmt: skip
def test_deepgram_is_not_asked_without_a_key(url: str) -> None:
    with pytest.raises(Problem, match="DEEPGRAM_API_KEY") as caught:
        Deepgram(url, environ={})

    assert caught.value.exit_code is Exit.CONFIG
    assert int(caught.value.exit_code) == 78


@pytest.mark.parametrize("url", ["wss://notdeepgram.com", "wss://deepgram.com.example.com", "ws://127.0.0.1:1", "ws://listen.example.com"])
def test_another_server_may_need_no_key(url: str) -> None:
    assert url in Deepgram(url, environ={}).url


@pytest.mark.parametrize("url", ["ws://api.deepgram.com", "ws://10.0.0.1", "ws://localhost.example.com", "ws://0.0.0.0"])
def test_a_key_is_never_sent_in_clear_beyond_this_machine(url: str) -> None:
    with pytest.raises(Problem, match="unencrypted"):
        Deepgram(url, key(), environ={})


@pytest.mark.parametrize("url", ["ws://127.0.0.1:8080", "ws://localhost", "ws://[::1]:1"])
def test_on_this_machine_it_may(url: str) -> None:
    assert dict(ask(offered(url, key())).headers)[b"Authorization"] == b"Token abc123"


def test_the_timeouts_are_the_settings() -> None:
    settings = SessionSettings(connect_timeout=3, send_timeout=2)
    service = Deepgram(URL, key(), settings=settings, environ={}).offer({})(TELEPHONE, "s")

    assert ask(service).connect_timeout == 3
    assert ask(service).dial.__self__.send_timeout == 2


def test_a_key_that_cannot_be_had_is_told_when_it_is_asked_for(tmp_path: Path) -> None:
    service = offered(credential=Credential("file", str(tmp_path / "none")))
    with pytest.raises(Problem, match="no Deepgram key"):
        ask(service)


def test_an_address_that_is_printed_shows_no_secret() -> None:
    shown = Deepgram("wss://listen.example.com?token=secret", environ={}).address({"model": "nova-3"}, TELEPHONE)

    assert "model=nova-3" in shown
    assert "secret" not in shown
