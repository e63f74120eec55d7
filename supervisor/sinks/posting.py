"""HTTP for a webhook, and the only module that knows httpx, once there is one: one address, one connection that is kept.

Where the address leads is not for the answer to say: redirects are not followed. Neither is the environment asked, which
could add a proxy or a password of its own.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import httpx

from supervisor.core.problem import Exit, Problem
from supervisor.core.refusal import retry_after

TIMEOUT = 15.0  # seconds for one attempt, from the name to the last byte of the answer
ENOUGH = 65536  # bytes of an answer, which nobody reads, that are worth a connection


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after: float = 0.0  # seconds that we were asked to stay away


Post = Callable[[bytes, Mapping[str, str]], Awaitable[Answer]]  # a body and its headers; raises OSError
Opened = Callable[[], AbstractAsyncContextManager[Post]]


def posting(url: str, *, ca: str = "", timeout: float = TIMEOUT) -> Opened:
    """To an http or https URL; `ca` is a file of certificates to trust beside the system's. Raises Problem."""
    try:
        import httpx
    except ImportError:
        raise Problem("httpx is not installed", "a webhook needs stream-supervisor[webhook]", Exit.CONFIG) from None
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise Problem(f"the CA file {ca} cannot be used: {error}", "give a PEM file", Exit.CONFIG) from None
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise Problem(f"the webhook's url cannot be used: {error}", "it is https://HOST/PATH", Exit.CONFIG) from None
    return partial(_open, address, context, timeout)


@asynccontextmanager
async def _open(url: httpx.URL, context: ssl.SSLContext, timeout: float) -> AsyncIterator[Post]:
    import httpx

    async with httpx.AsyncClient(verify=context, timeout=None, trust_env=False, follow_redirects=False) as client:

        async def post(body: bytes, headers: Mapping[str, str]) -> Answer:
            request = client.build_request("POST", url, content=body, headers={**headers, "Accept-Encoding": "identity"})
            with trio.move_on_after(timeout):
                try:
                    return await _send(client, request)
                except (httpx.HTTPError, httpx.StreamError) as error:
                    raise OSError(_why(error)) from error
            raise TimeoutError(f"no answer within {timeout:g} s")

        yield post


async def _send(client: httpx.AsyncClient, request: httpx.Request) -> Answer:
    response = await client.send(request, stream=True)
    try:
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length[:9]) <= ENOUGH:  # else the connection is closed instead
            async for _ in response.aiter_raw():
                pass
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(1):
            await response.aclose()
    headers = response.headers
    return Answer(response.status_code, retry_after(headers.get("Retry-After", ""), headers.get("Date", "")))


def _why(error: BaseException) -> str:
    """What was behind it all: httpx and what it stands on leave out what TLS and the network have said."""
    why = str(error) or type(error).__name__
    while inner := error.__cause__ or error.__context__:
        error = inner.exceptions[0] if isinstance(inner, BaseExceptionGroup) else inner
        why = (error.strerror if isinstance(error, OSError) else str(error)) or why
    return why
