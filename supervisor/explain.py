"""The `explain` command: what a closure means, what is done about it, and what a person should check, in order.

It only formats. What a closure means is in the one table that the retry loop reads, and reading a paste is a module
of its own, so that an explanation cannot differ from what is done.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from .core.catalogue import Entry, classify, entry_of
from .core.catalogue.codes import CODES
from .core.catalogue.ours import OURS
from .core.catalogue.pasted import Pasted, read
from .core.catalogue.payloads import PAYLOADS
from .core.catalogue.refusals import REFUSALS, fix_for
from .core.catalogue.statuses import STATUSES
from .core.closure import Verdict
from .core.plain import plain
from .core.problem import Exit, Problem

WIDTH = 92

BASICS = (
    "How a session begins and ends",
    "A session begins with an HTTP request that is upgraded to a WebSocket, and then stays open until one side closes "
    "it. A refused request is answered with a status of 4xx or 5xx, and there is no session.",
    "Every answer, good or bad, has the header dg-request-id, the session's name at Deepgram; a refusal has dg-error, "
    "the cause, which its body repeats. session_closed has both, as request_id and dg_error. Not every library shows "
    "them: in a browser a refusal is a bare 1006.",
    "A close frame has a code, and a payload that says why: a name such as NET-0001, or a sentence with a link to it.",
    "A session that is done is ended with CloseStream: the server finishes what it holds, sends the last results and "
    "a summary, and closes. A plain WebSocket close loses them.",
    "An empty binary frame is taken for CloseStream: a program of your own must look at a chunk's length before it "
    "sends it.",
    "KeepAlive, sent as text every 3 to 5 s, bridges a pause in the audio; the server's limit is about 10 s.",
    "How it is judged: the HTTP status first, then the payload, then whether the end had been asked for, then the "
    "close code. The first of them that is known decides; what is not known is retried.",
)
GROUPS = (
    ("Payloads of a close frame", PAYLOADS),
    ("Close codes", CODES),
    ("Refused handshakes: HTTP statuses", STATUSES),
    ("What our own side sees", OURS),
)


def explain_text(args: Sequence[str]) -> str:
    """Explain codes, statuses, payloads, a pasted line or a pasted body; with nothing given, all there is.

    Raises Problem (exit 64) where nothing is recognised.
    """
    text = " ".join(args)
    if not text.strip():
        return "\n".join(_everything())
    pasted = read(text)
    if not pasted.entries:
        raise Problem(
            f'nothing to explain in "{plain(text, 60)}"',
            "give a payload (NET-0000, NET-0001, NET-0002, DATA-0000), a close code (1000 to 4999), an HTTP status "
            f"(100 to 599), one of {', '.join(OURS)}, a line of a log, or the body of a refusal with one of "
            f"{', '.join(REFUSALS)}",
            Exit.USAGE,
        )
    return "\n".join(_recognised(pasted))


def _recognised(pasted: Pasted) -> Iterator[str]:
    several = [bool(fact) for fact in (pasted.statuses, pasted.payloads, pasted.codes)].count(True) > 1
    if several:
        decisive = entry_of(pasted.closure)
        yield from _paragraph(
            f"Together: {decisive.key} is known first and decides: {_verdict(decisive, classify(pasted.closure))}."
        )
        yield ""
    for words in pasted.words:
        yield from _item("The server said: ", words)
        if fix := fix_for(words):
            yield from _item("What to do: ", fix)
    for refusal in pasted.refusals.values():
        yield from _item(f"{refusal.name}: ", f"{refusal.meaning} {refusal.check}")
    if pasted.request_id:
        yield from _item("For Deepgram Support: ", f"request_id {pasted.request_id}")
    if pasted.words or pasted.refusals or pasted.request_id:
        yield ""
    yield from _entries(pasted.entries)


def _everything() -> Iterator[str]:
    heading, *basics = BASICS
    yield from _heading(heading)
    for paragraph in basics:
        yield from _paragraph(paragraph)
        yield ""
    for heading, group in GROUPS:
        yield from _heading(heading)
        yield from _entries(group.values())
        yield ""
    yield from _heading("Names in the body of a refusal (err_code)")
    for refusal in REFUSALS.values():
        statuses = " or ".join(refusal.statuses)
        yield from _item(f"{refusal.name} ({statuses}): ", f"{refusal.meaning} {refusal.check}")


def _heading(text: str) -> Iterator[str]:
    yield text
    yield "=" * len(text)
    yield ""


def _entries(entries: Iterable[Entry]) -> Iterator[str]:
    for number, entry in enumerate(entries):
        if number:
            yield ""
        yield f"{entry.key}: {entry.title}"
        yield from _item("  Verdict  ", _verdict(entry, entry.verdict))
        yield from _item("  Meaning  ", entry.meaning)
        yield from _item("  We do    ", entry.action)
        for position, check in enumerate(entry.checks, 1):
            yield from _item(f"  {'Check' if position == 1 else '     '}    {position}. ", check)


def _verdict(entry: Entry, verdict: Verdict) -> str:
    if not entry.overridable:
        return "complete once it is proven; otherwise the rest is retried"
    return "retry" if verdict is Verdict.RETRY else f"abort (exit code {entry.exit_code})"


def _item(label: str, text: str) -> Iterator[str]:
    """A label and its text; the lines that follow stand under the text, or a little in where the label is long."""
    hang = " " * (len(label) if label.startswith(" ") else 2)
    yield from textwrap.wrap(text, WIDTH, initial_indent=label, subsequent_indent=hang, break_on_hyphens=False)


def _paragraph(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, break_on_hyphens=False)
