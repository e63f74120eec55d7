"""One POST over a real connection: what is sent, what of the answer counts, and peers that hang up, lie or never end."""

from __future__ import annotations

import builtins
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.problem import Exit, Problem
from supervisor.sinks.posting import ENOUGH, Answer, posting
from tests.network.pairs import authority, server_context
from tests.network.tcp import real, served

HEADERS = {"Content-Type": "application/json", "Idempotency-Key": "k"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n"


class Server:
    """Reads requests whole, and answers each with the next of its answers, or the last again; then waits for the end."""

    def __init__(self, *answers: bytes, hang_up: bool = False, drip: bytes = b"") -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = list(answers)
        self._hang_up = hang_up
        self._drip = drip  # is sent for ever, after the answer

    async def handle(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await self._request(stream):
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if answer:
                    await stream.send_all(answer)
                while self._drip:
                    await stream.send_all(self._drip)
                if self._hang_up:
                    await stream.aclose()
                    return

    async def _request(self, stream: trio.abc.Stream) -> bool:
        request = b""
        while not (match := re.search(rb"(?is)content-length: (\d+).*?\r\n\r\n", request)) or len(request) < match.end() + int(match[1]):
            data = await stream.receive_some(65536)
            if not data:
                return False
            request += data
        self.requests.append(request)
        return True

    @asynccontextmanager
    async def url(self) -> AsyncIterator[str]:
        async with served(self.handle) as port:
            yield f"http://127.0.0.1:{port}/hook?token=t"


Post = Callable[[bytes, Mapping[str, str]], Awaitable[Answer]]


def posted(server: Server, *bodies: bytes, timeout: float = 5.0) -> list[Answer | str]:
    """What came of each: the answer, or the words of the error."""
    outcomes: list[Answer | str] = []

    async def main() -> None:
        async with server.url() as url, posting(url, timeout=timeout)() as post:
            for body in bodies or (b"[]",):
                try:
                    outcomes.append(await post(body, HEADERS))
                except OSError as error:
                    outcomes.append(str(error))

    real(main)
    return outcomes


def test_what_is_sent_is_the_body_under_its_headers() -> None:
    server = Server(OK)
    posted(server, b'[{"text":"Gr\xc3\xbc\xc3\x9fe"}]')
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    line, *headers = head.decode().lower().split("\r\n")

    assert line == "post /hook?token=t http/1.1"
    assert {"content-type: application/json", "idempotency-key: k", "accept-encoding: identity"} <= set(headers)
    assert body == b'[{"text":"Gr\xc3\xbc\xc3\x9fe"}]'
    assert not [header for header in headers if header.startswith(("authorization", "cookie"))]


def test_a_connection_is_kept_for_the_next() -> None:
    server = Server(OK)

    assert posted(server, b"1", b"2", b"3") == [Answer(200)] * 3
    assert server.connections == 1


def test_one_that_was_closed_meanwhile_is_made_anew() -> None:
    server = Server(OK, hang_up=True)

    assert posted(server, b"1", b"2") == [Answer(200)] * 2
    assert server.connections == 2


@pytest.mark.parametrize("status", [204, 400, 500])
def test_the_status_is_the_answer(status: int) -> None:
    assert posted(Server(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status)) == [Answer(status)]


@pytest.mark.parametrize(
    "headers, seconds",
    [(b"Retry-After: 7", 7.0), (b"Retry-After: soon", 0.0), (b"Retry-After: -7", 0.0),
     (b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:47 GMT", 10.0)],
)  # fmt: skip
def test_a_retry_after_is_read(headers: bytes, seconds: float) -> None:
    answer = b"HTTP/1.1 503 x\r\n" + headers + b"\r\nContent-Length: 0\r\n\r\n"

    assert posted(Server(answer)) == [Answer(503, seconds)]


def test_a_redirect_is_not_followed() -> None:
    """It would carry what was said in a call to wherever the answer says."""
    other = Server(OK)
    outcomes: list[Answer] = []

    async def main() -> None:
        async with other.url() as elsewhere:
            moved = Server(b"HTTP/1.1 307 x\r\nLocation: " + elsewhere.encode() + b"\r\nContent-Length: 0\r\n\r\n")
            async with moved.url() as url, posting(url)() as post:
                outcomes.append(await post(b"[]", HEADERS))

    real(main)
    assert outcomes == [Answer(307)]
    assert other.requests == []


def test_the_environment_adds_no_proxy_and_no_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    server = Server(OK)

    assert posted(server) == [Answer(200)]
    assert b"authorization" not in server.requests[0].lower()


class TestPeers:
    def test_one_that_hangs_up_anywhere_in_its_answer_is_an_error(self) -> None:
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
        parts = [whole[:length] for length in range(len(whole) + 1)]
        outcomes = posted(Server(*parts, hang_up=True), *([b"[]"] * len(parts)))

        assert all(isinstance(outcome, str) and outcome for outcome in outcomes[:-1])
        assert outcomes[-1] == Answer(200)

    @pytest.mark.parametrize(
        "answer",
        [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x02\x00\x01", b"HTTP/1.1 999999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
         b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
        ids=["ssh", "tls", "status", "length", "header", "lengths"],
    )  # fmt: skip
    def test_one_that_does_not_speak_http_is_an_error(self, answer: bytes) -> None:
        (outcome,) = posted(Server(answer, hang_up=True))

        assert isinstance(outcome, str)
        assert outcome

    @settings(max_examples=20, deadline=None)
    @given(st.sampled_from([OK, CHUNKED]), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), st.binary(max_size=4)), max_size=4))
    def test_any_answer_is_an_answer_or_an_error(self, answer: bytes, changes: list[tuple[int, int, bytes]]) -> None:
        for at, gone, instead in changes:
            answer = answer[:at] + instead + answer[at + gone :]
        (outcome,) = posted(Server(answer, hang_up=True))

        assert outcome

    @pytest.mark.parametrize("sends", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", OK[:-1]])
    def test_one_that_resets_is_an_error(self, sends: bytes) -> None:
        server, outcomes = Server(sends), []

        async def handle(stream: trio.SocketStream) -> None:
            await server._request(stream)
            await stream.send_all(sends)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await stream.aclose()

        async def main() -> None:
            async with served(handle) as port, posting(f"http://127.0.0.1:{port}/")() as post:
                with pytest.raises(OSError, match=r".") as failed:
                    await post(b"[]", HEADERS)
                outcomes.append(failed.value)

        real(main)
        assert len(outcomes) == 1

    def test_one_that_never_answers_is_given_up(self) -> None:
        assert posted(Server(b""), timeout=0.1) == ["no answer within 0.1 s"]

    @pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: "], ids=["nothing", "header"])
    def test_one_that_stops_in_the_middle_is_given_up(self, head: bytes) -> None:
        assert posted(Server(head), timeout=0.1) == ["no answer within 0.1 s"]

    @pytest.mark.parametrize(
        "head", [b"Transfer-Encoding: chunked", b"Content-Length: %d" % (ENOUGH + 1), b"Content-Length: 99999999999999999999", b"X: y"]
    )
    def test_an_answer_without_end_is_not_read(self, head: bytes) -> None:
        """Its status is all that counts: neither time nor memory is spent on the rest."""
        server = Server(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n", drip=b"10000\r\n" + b"x" * 65536 + b"\r\n")

        assert posted(server, b"1", b"2", timeout=5.0) == [Answer(200)] * 2
        assert server.connections == 2

    def test_a_compressed_answer_is_not_unpacked(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"

        assert posted(Server(answer)) == [Answer(200)]

    @pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], ids=["silent", "half"])
    def test_cancelled_while_it_waits_it_leaves_nothing_open(self, head: bytes) -> None:
        server = Server(head)

        async def main() -> None:
            async with server.url() as url, posting(url)() as post, trio.open_nursery() as nursery:
                nursery.start_soon(post, b"[]", HEADERS)
                while not server.requests:  # noqa: ASYNC110 - a socket is read elsewhere
                    await trio.sleep(0.001)
                nursery.cancel_scope.cancel()

        real(main)  # an open socket would be a warning
        assert len(server.requests) == 1

    def test_nobody_there_is_an_error(self) -> None:
        async def main() -> None:
            async with posting("http://127.0.0.1:9/")() as post:
                with pytest.raises(OSError, match=r"Connection refused"):
                    await post(b"[]", HEADERS)

        real(main)


class TestTls:
    @staticmethod
    def _attempt(name: str, ca: str) -> tuple[Server, Answer | str]:
        server, outcome = Server(OK), []
        context = server_context(name)

        async def handle(stream: trio.SocketStream) -> None:
            with suppress(trio.BrokenResourceError):
                await server.handle(trio.SSLStream(stream, context, server_side=True))

        async def main() -> None:
            async with served(handle) as port, posting(f"https://127.0.0.1:{port}/", ca=ca)() as post:
                try:
                    outcome.append(await post(b"[]", HEADERS))
                except OSError as error:
                    outcome.append(str(error))

        real(main)
        return server, outcome[0]

    def test_a_ca_of_ones_own_is_trusted(self, tmp_path: Path) -> None:
        authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))

        assert self._attempt("127.0.0.1", str(tmp_path / "ca.pem"))[1] == Answer(200)

    @pytest.mark.parametrize("name, trusted", [("127.0.0.1", False), ("elsewhere.example.com", True)])
    def test_a_certificate_that_is_not_its_own_is_not_given_a_word(self, tmp_path: Path, name: str, trusted: bool) -> None:
        authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        server, outcome = self._attempt(name, str(tmp_path / "ca.pem") if trusted else "")

        assert "certificate verify failed" in str(outcome)
        assert server.requests == []

    @pytest.mark.parametrize("ca", ["/none/such", __file__])
    def test_a_ca_file_that_is_none_is_said_before_anything_runs(self, ca: str) -> None:
        with pytest.raises(Problem, match=r"the CA file .* cannot be used.*give a PEM file") as refused:
            posting("https://example.com/", ca=ca)
        assert refused.value.exit_code is Exit.CONFIG


@pytest.mark.parametrize("url", ["https://[::1", "https://example.com:port/", "https://" + "x" * 70_000])
def test_a_url_that_cannot_be_used_is_said_before_anything_runs(url: str) -> None:
    with pytest.raises(Problem, match="the webhook's url cannot be used") as refused:
        posting(url)
    assert refused.value.exit_code is Exit.CONFIG


def test_without_httpx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def missing(name: str, *more: object) -> object:
        if name == "httpx":
            raise ModuleNotFoundError(name)
        return real_import(name, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)

    with pytest.raises(Problem, match=r"httpx is not installed: .*stream-supervisor\[webhook\]"):
        posting("https://example.com/")


def test_httpx_is_loaded_for_a_webhook_alone() -> None:
    code = "import sys; import supervisor.sinks.webhook; sys.exit('httpx' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
