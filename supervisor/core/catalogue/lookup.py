"""From a closure to its entry: the first fact that is known decides.

The facts of a closure, most telling first: the HTTP status that refused it, Deepgram's payload, the Metadata that
says nothing was heard, whether the end had been asked for, the close code, and last what our own side saw. Each is a
key; the first one that the table (or a config's overrides) knows is the verdict. `entry_of`, `classify` and `advice`
read the same keys, so that what is done and what is explained cannot part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import takewhile
from types import MappingProxyType

from ..closure import Closure, Verdict, payload_of
from ..options import hide_secrets
from ..plain import plain
from ..problem import Exit, Problem
from .codes import CODES
from .entry import Entry
from .ours import OURS, key_of
from .payloads import PAYLOADS, SENTENCES
from .refusals import fix_for, refusal_of
from .statuses import STATUSES

TABLE: Mapping[str, Entry] = MappingProxyType({**PAYLOADS, **CODES, **STATUSES, **OURS})
NO_OVERRIDES: Mapping[str, str] = MappingProxyType({})
VERDICTS = {"retry": Verdict.RETRY, "abort": Verdict.ABORT}

ASKED_FOR = (1000, 1005)  # how a server ends after CloseStream; Flux names no code
PING_TIMEOUT = "keepalive ping timeout"  # how a widely used WebSocket library words it


def payload_named(reason: str) -> str:
    """The payload that a close reason names, or that its sentence stands for, or nothing.

    >>> payload_named("Deepgram did not receive audio data or a text message within the time")
    'NET-0001'
    """
    lower = reason.lower()
    return payload_of(reason) or next((name for sentence, name in SENTENCES if sentence in lower), "")


def facts(closure: Closure) -> Iterator[str]:
    """The keys under which a closure may be known, most telling first; the last is always in the table."""
    if closure.status is not None and 100 <= closure.status <= 599:
        yield str(closure.status)
        yield f"{closure.status // 100}xx"
    if payload := payload_named(closure.reason):
        yield payload
    if closure.undecoded:
        yield "DATA-0000"
    if closure.code is not None and 1000 <= closure.code <= 4999:
        if closure.finishing and closure.code in ASKED_FOR:
            yield f"{closure.code}-asked"
        if closure.code == 1011 and PING_TIMEOUT in closure.reason.lower():
            yield "1011-ping"
        yield str(closure.code)
        if closure.code >= 4000:
            yield "4xxx"
    if closure.code is None and closure.status is None:
        yield key_of(closure)
    yield "unknown"


def entry_of(closure: Closure) -> Entry:
    """What the table says of a closure.

    >>> entry_of(Closure(code=1011, reason="... See https://dpgr.am/net0001")).key
    'NET-0001'
    >>> entry_of(Closure(code=1000)).key, entry_of(Closure(code=1000, finishing=True)).key
    ('1000', '1000-asked')
    >>> entry_of(Closure(status=418)).key
    '4xx'
    """
    return next(TABLE[key] for key in facts(closure) if key in TABLE)


def classify(closure: Closure, overrides: Mapping[str, str] = NO_OVERRIDES) -> Verdict:
    """RETRY or ABORT. Overrides are a config's, as `check_overrides` has let them pass.

    An override is as telling as its key: one for 1011 does not touch a 1011 whose payload the table knows.

    >>> classify(Closure(code=1008)).name, classify(Closure(code=1008), {"1008": "retry"}).name
    ('ABORT', 'RETRY')
    """
    entry = entry_of(closure)
    more_telling = takewhile(lambda key: key != entry.key, facts(closure))
    overridden = (VERDICTS.get(overrides.get(key, "")) for key in (*more_telling, entry.key))
    return next((verdict for verdict in overridden if verdict), entry.verdict)


def advice(closure: Closure) -> str:
    """One line for the log: what happened, in the server's words where it gave some, and what to look at first.

    >>> advice(Closure(status=402, err_code="ASR_PAYMENT_REQUIRED"))
    "402, the project has no credit (ASR_PAYMENT_REQUIRED). Add credit in Deepgram's console."
    """
    entry = entry_of(closure)
    check = entry.checks[0]
    said = ""
    if closure.status is not None:
        refusal = refusal_of(closure.err_code)
        message = closure.err_msg or closure.dg_error
        check = fix_for(message) or (refusal.check if refusal else check)
        said = ": ".join(part for part in (closure.err_code, message) if part)
    if closure.location:
        said = f"to {hide_secrets(closure.location)}"
    return f"{entry.key}, {entry.title}{f' ({plain(said)})' if said else ''}. {check}"


def check_overrides(overrides: Mapping[str, object]) -> None:
    """Raise Problem (exit 78) for the first override that names nothing, or is neither "retry" nor "abort".

    A key is one that `explain` prints, or any close code, HTTP status or payload, known here or not.
    """
    for key, verdict in overrides.items():
        if key in TABLE and not TABLE[key].overridable:
            raise Problem(
                f"the verdict of {key} cannot be set",
                "the end that was asked for is proven by what the server says",
                Exit.CONFIG,
            )
        if not (key in TABLE or _may_be_known_one_day(key)):
            names = {name.upper(): name for name in TABLE if TABLE[name].overridable}
            near = get_close_matches(key.upper(), names, 1, 0.6)
            hint = f'did you mean "{names[near[0]]}"?' if near else 'such as "DATA-0000" or "503"; `explain` prints all'
            raise Problem(
                f'a verdict is set for "{plain(key, 40)}", which is no payload, close code or HTTP status',
                hint,
                Exit.CONFIG,
            )
        if not (isinstance(verdict, str) and verdict in VERDICTS):
            raise Problem(
                f'the verdict of {key} is set to "{plain(str(verdict), 40)}"', 'write "retry" or "abort"', Exit.CONFIG
            )


def _may_be_known_one_day(key: str) -> bool:
    number = int(key) if key.isascii() and key.isdigit() and len(key) in (3, 4) else 0
    return 100 <= number <= 599 or 1000 <= number <= 4999 or (key != "" and key.isascii() and payload_of(key) == key)
