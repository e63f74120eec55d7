"""The server as one call needs it: an endpoint for each attempt, and what its options mean for what is told.

Made once for all calls, because a TLS context costs as much as a thousand frames; asked once by each call, because only
the call knows its audio, and audio decides what may be sent.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from . import __version__
from .connection import Endpoint
from .core.audio import AudioFormat
from .core.fleet import Party
from .core.options import check_options, check_url, hide_secrets, listen_url
from .core.options.spelling import Value
from .core.problem import Exit, Problem
from .core.settings import SessionSettings
from .credential import DEFAULT_VARIABLE, FORMS, Credential
from .dial import route

DEEPGRAM = "deepgram.com"
ANY = Party()


@dataclass(frozen=True, slots=True)
class Service:
    """What one call gets."""

    endpoint: Callable[[], Awaitable[Endpoint]]  # asked for each attempt, for keys change; raises Problem
    interims: bool = True  # tell them
    utterances: bool = False  # end those that a dead session leaves open
    multichannel: bool = False  # results come for each channel by itself
    whole_finals: bool = False  # replay from the start of the last final: redaction must hear all of a number
    warnings: tuple[str, ...] = ()
    party: Party = ANY  # what limits of the fleet apply


Offer = Callable[[AudioFormat, str], Service]  # from a call's audio and its session id; raises Problem


class Deepgram:
    """Deepgram, or what speaks its protocol. Raises Problem for a URL or a CA file that cannot be used."""

    def __init__(
        self,
        url: str,
        credential: Credential | None = None,
        *,
        ca: str = "",
        settings: SessionSettings | None = None,
        environ: Mapping[str, str] = os.environ,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.url = check_url(url, credential is not None)
        host = (urlsplit(self.url).hostname or "").removesuffix(".")  # the dot of a name that is whole
        if credential is None and (host == DEEPGRAM or host.endswith("." + DEEPGRAM)):
            raise Problem(
                "no Deepgram key", f"export it as {DEFAULT_VARIABLE}, or say where it is: {FORMS}", Exit.CONFIG
            )
        self.credential = credential  # another one may take its place while calls run
        self._used = b""  # which key the last dial had
        self._settings = settings or SessionSettings()
        self._entropy = entropy
        self._dial = route(self.url, ca=ca, environ=environ, send_timeout=self._settings.send_timeout).dial

    def check(self) -> tuple[str, ...]:
        """Warnings about the key, which is looked at; raises Problem."""
        return self.credential.check() if self.credential else ()

    def succeeds(self, other: Deepgram) -> None:
        """It takes the place of another one, whose calls still run: if the server is the same, they have this one's key."""
        if urlsplit(other.url).netloc == urlsplit(self.url).netloc:
            other.credential, self._used = self.credential, other._used or self._used

    async def key_has_changed(self) -> bool:
        """Whether the key is another one than that of the last dial; one that cannot be read is not."""
        try:
            if self.credential is None or not self._used:
                return False
            return _digest((await self.credential.authorization()).encode()) != self._used
        except Problem:
            return False

    @property
    def key_name(self) -> str:
        """Where the key is; empty where there is none."""
        return self.credential.describe() if self.credential else ""

    def offer(self, options: Mapping[str, Value]) -> Offer:
        """What calls with these options are offered."""
        return lambda audio, session_id: self._service(options, audio, session_id)

    def address(self, options: Mapping[str, Value], audio: AudioFormat) -> str:
        """The whole URL for some audio, fit to be printed; raises Problem."""
        return hide_secrets(listen_url(self.url, check_options(options, audio, self.url).query))

    def _service(self, options: Mapping[str, Value], audio: AudioFormat, session_id: str) -> Service:
        checked = check_options(options, audio, self.url)
        parts = urlsplit(listen_url(self.url, checked.query))
        fixed = (
            (b"User-Agent", f"stream-supervisor/{__version__}".encode()),
            (b"x-deepgram-session-id", session_id.encode()),
        )

        async def endpoint() -> Endpoint:
            key: tuple[tuple[bytes, bytes], ...] = ()
            if self.credential:
                authorization = (await self.credential.authorization()).encode()
                key, self._used = ((b"Authorization", authorization),), _digest(authorization)
            return Endpoint(
                dial=self._dial,
                host=parts.netloc,
                resource=f"{parts.path}?{parts.query}",
                headers=(*key, *fixed),
                connect_timeout=self._settings.connect_timeout,
                entropy=self._entropy,
            )

        return Service(
            endpoint,
            interims=checked.show_interims,
            utterances=any(key in ("utterance_end_ms", "vad_events") for key, _ in checked.query),
            multichannel=("multichannel", "true") in checked.query,
            whole_finals=checked.redacts,
            warnings=checked.warnings,
            party=Party(self.key_name, f"{parts.scheme}://{parts.netloc}", dict(checked.query).get("model", "")),
        )


def _digest(authorization: bytes) -> bytes:
    """Tells two keys apart without keeping either."""
    return hashlib.sha256(authorization).digest()
