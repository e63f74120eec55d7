"""What somebody pasted, read for the facts that the table knows: a code, a line of a log, the body of a refusal.

Numbers are the difficulty, for a log line is full of them. JSON is read by the names of its fields. In prose a number
counts where a word such as "code", "HTTP" or "received" stands before it; failing that, if it is a close code or a
refusal that the table knows by itself. Only where there is nothing but codes does any number count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..closure import Closure
from ..plain import plain
from .codes import CODES
from .entry import Entry
from .lookup import PING_TIMEOUT, TABLE, entry_of, payload_named
from .ours import AFTER_THE_UPGRADE, BEFORE_THE_UPGRADE, OURS
from .refusals import MESSAGES, REFUSALS, Refusal, refusal_of
from .statuses import STATUSES

LONGEST = 100_000  # characters that are read of a paste
BRACES = 1000  # that may begin no object before no more are tried: each costs a look at all of the text
NUMBER_FIELDS = (
    "status", "status_code", "statusCode", "http_status", "code", "close_code", "closeCode",
)  # fmt: skip
NAME_FIELDS = ("err_code", "error_code", "category", "code")
WORD_FIELDS = (
    "payload", "reason", "err_msg", "dg_error", "dg-error", "message", "msg", "event", "error", "exception",
    "description", "details", "text", "log",
)  # fmt: skip
SERVER_WORDS = ("err_msg", "dg_error", "dg-error", "message")

PAYLOAD = re.compile(r"(?<![A-Za-z0-9])(DATA|NET)[-_ ]?(\d{4})(?!\d)", re.IGNORECASE | re.ASCII)
NAMES = {name: re.compile(rf"(?<!\w){name.replace('_', '[_ -]')}(?!\w)", re.IGNORECASE) for name in REFUSALS}
KEYS = {
    key: re.compile(rf"(?<![\w-]){key}(?![\w-])", re.IGNORECASE)
    for key in (*CODES, *STATUSES, *OURS)
    if not key.isdigit()
}
INTRODUCED = re.compile(
    r"""\b(?:code|status|http(?:/\d(?:\.\d)?)?|received|sent|response|rejected|rejection|closed?|error)\b
        [\s"'=:(<\[]{1,4} (?:(?:with|code|status|http)[\s"'=:]+){0,2} (\d{3,4}) (?! \w | [.:,/]\d )""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
ALONE = re.compile(
    r"(?<![\w.:,/+#@-])(\d{3,4})(?![\w:/@-]|[.,]\d|\s*(?:ms|s|seconds|bytes|kB|MB|Hz|frames|calls)\b)", re.ASCII
)
ANY = re.compile(r"(?<!\d)(\d{3,4})(?!\d)", re.ASCII)
CODE_WORDS = re.compile(r"\b(?:web ?sockets?|close[ds]?|codes?|status|http|errors?|and|or|with)\b", re.IGNORECASE)
LETTER = re.compile(r"[^\W\d_]")
NO_CLOSE_FRAME = re.compile(r"\bno close frame received or sent\b", re.IGNORECASE)


@dataclass(slots=True)
class Pasted:
    """The facts found, each kind in the order in which they came."""

    statuses: list[int] = field(default_factory=list)
    payloads: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # of entries that no number stands for
    refusals: dict[str, Refusal] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)  # what the server said
    request_id: str = ""
    asked: bool = False  # our side had asked for the end

    @property
    def closure(self) -> Closure:
        """The facts as one closure: what `classify` would be given."""
        return Closure(
            status=next(iter(self.statuses), None),
            code=next(iter(self.codes), None),
            reason=next(iter(self.payloads), PING_TIMEOUT if "1011-ping" in self.keys else ""),
            finishing=self.asked,
        )

    @property
    def entries(self) -> list[Entry]:
        """The entry of each fact, in the order in which facts decide, each once."""
        found = [entry_of(Closure(status=status)) for status in self.statuses]
        if not self.statuses:
            found += [TABLE[status] for refusal in self.refusals.values() for status in refusal.statuses]
        found += [TABLE[payload] for payload in self.payloads]
        found += [TABLE[key] for key in self.keys]
        for code in self.codes:
            # Whether a 1000 was asked for is seldom written beside it: then both are told.
            found += [entry_of(Closure(code=code))] if not self.asked else []
            found += [entry_of(Closure(code=code, finishing=True))]
        return list({entry.key: entry for entry in found}.values())

    def take_number(self, value: object) -> None:
        """File a number under what it can be: close codes and HTTP statuses do not overlap."""
        digits = str(value)
        number = int(digits) if len(digits) in (3, 4) and digits.isascii() and digits.isdigit() else 0
        if 100 <= number <= 599:
            self.statuses.append(number)
        elif 1000 <= number <= 4999:
            self.codes.append(number)


def read(text: str) -> Pasted:
    """What is recognised in a paste; nothing found is an empty `entries`.

    >>> [entry.key for entry in read("net0001, 1011").entries]
    ['NET-0001', '1011']
    >>> [entry.key for entry in read('{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials."}').entries]
    ['401']
    >>> read("hello").entries
    []
    """
    pasted = Pasted()
    _read_text(text[:LONGEST], pasted)
    return pasted


def _read_text(text: str, pasted: Pasted) -> None:
    prose = []
    for piece in _pieces(text):
        if isinstance(piece, str):
            prose.append(piece)
        else:
            _read_fields(piece, pasted)
    _read_prose(" ".join(prose), pasted)


def _pieces(text: str) -> Iterator[str | dict[str, object]]:
    """The text, with the JSON objects in it taken out and parsed."""
    decoder = json.JSONDecoder()
    begin = seen = failed = 0
    while failed < BRACES and (brace := text.find("{", seen)) >= 0:
        seen = brace + 1
        try:
            found, end = decoder.raw_decode(text, brace)
        except ValueError:
            failed += 1
            continue
        except RecursionError:  # nobody's log line
            break
        yield text[begin:brace]
        yield found
        begin = seen = end
    yield text[begin:]


def _read_fields(json_object: dict[str, object], pasted: Pasted) -> None:
    pending: list[object] = [json_object]
    for value in pending:
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            _read_object(value, pasted)
            pending += value.values()


def _read_object(fields: dict[str, object], pasted: Pasted) -> None:
    said = {name: value for name, value in fields.items() if isinstance(value, str)}
    for name in NUMBER_FIELDS:
        pasted.take_number(fields.get(name))
    for name in NAME_FIELDS:
        if refusal := refusal_of(said.get(name, "")):
            pasted.refusals[refusal.name] = refusal
    # A session_closed of our own without a code and a status tells by its advice, or its reason, what our side saw.
    if {"code", "status", "reason"} <= fields.keys() and fields["code"] is None and fields["status"] is None:
        uptime = fields.get("uptime")
        opened = isinstance(uptime, int | float) and uptime > 0
        named = said.get("advice", "").partition(",")[0]
        judged = named if named in OURS else entry_of(Closure(reason=str(fields["reason"]), opened=opened)).key
        pasted.keys.append(judged)
    for name in WORD_FIELDS:
        if name in said:
            _read_text(said[name], pasted)
    for name in SERVER_WORDS:
        if (words := plain(said.get(name, ""))) and words not in pasted.words:
            pasted.words.append(words)
    pasted.request_id = pasted.request_id or plain(said.get("request_id", ""), 64)
    pasted.asked = pasted.asked or fields.get("verdict") == "complete"


def _read_prose(prose: str, pasted: Pasted) -> None:
    rest = _read_names(prose, pasted)
    known_by_fields = bool(pasted.statuses or pasted.codes)
    if NO_CLOSE_FRAME.search(rest):
        pasted.codes.append(1006)
    bare, keys = rest, []
    for key, pattern in KEYS.items():
        bare, times = pattern.subn(" ", bare)
        keys += [key] if times else []
    if not LETTER.search(CODE_WORDS.sub(" ", bare)):
        pasted.keys += keys
        numbers = ANY.findall(bare)
    else:
        numbers = INTRODUCED.findall(rest)
        if not numbers and not known_by_fields:
            numbers = [number for number in ALONE.findall(rest) if number in TABLE and int(number) >= 400]
    for number in numbers:
        pasted.take_number(number)
    if not pasted.entries:
        wordings = (*BEFORE_THE_UPGRADE, *AFTER_THE_UPGRADE)
        pasted.keys += [key for pattern, key in wordings if pattern.search(rest)][:1]


def _read_names(text: str, pasted: Pasted) -> str:
    """Take what is named in the text; what is left of it is returned."""
    named = [f"{kind.upper()}-{number}" for kind, number in PAYLOAD.findall(text)]
    pasted.payloads += [name for name in (*named, payload_named(text)) if name in TABLE]
    lower = text.lower()
    if PING_TIMEOUT in lower:
        pasted.keys.append("1011-ping")
    if any(fragment in lower for fragment, _ in MESSAGES[:-1]):
        pasted.refusals.setdefault("INVALID_QUERY_PARAMETER", REFUSALS["INVALID_QUERY_PARAMETER"])
    text = PAYLOAD.sub(" ", text)
    for name, pattern in NAMES.items():
        text, times = pattern.subn(" ", text)
        if times:
            pasted.refusals[name] = REFUSALS[name]
    return text
