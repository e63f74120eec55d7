"""Numbers of callers in a text, masked: a log that is read by many says which call, and not who called.

A number is masked the same way wherever it stands and however it is written, so that lines about one caller can still be
found together. What only looks like one is left alone: times, identifiers, addresses, sizes.

    >>> masked("from +1 (555) 123-4567 in 40325ec2-5efd-4bd3-805f-553576581013 at 1795343335.30")
    'from +1555***4567 in 40325ec2-5efd-4bd3-805f-553576581013 at 1795343335.30'
"""

from __future__ import annotations

import re

NAMES = (
    "ani|called|callee|caller|calling|cell|cli|clid|did|dnis|exten|extension|mobile|msisdn|number|phone|tel|telephone"
)
FIELD = re.compile(rf"^(?:from|to)$|(?:^|_)(?:{NAMES})(?:_?(?:id|num|number|no))?$")
CAMEL = re.compile("(?<=[a-z])(?=[A-Z])")

HEX = "[0-9a-fA-F]"
UUID = f"{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-"  # but for its last part, RFC 9562 section 4
DAY = "(?:0[1-9]|[12][0-9]|3[01])"
CLOCK = "(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]"
TIME = f"(?:1[6-9][0-9]{{8}}(?:[0-9]{{3}})?|20[0-9]{{2}}(?:0[1-9]|1[0-2]){DAY}{CLOCK})(?![0-9])"  # since 1970 until 2033; a stamp
UNIT = " ?(?:bytes|frames|samples|B|KiB|MiB|s|ms|us|ns|seconds)"
ALONE = r"(?<![^\W_])"  # no letter or digit before it
END = r"(?![^\W_])"

MAYBE = re.compile(r"[0-9][0-9 .()/-]{5,}[0-9]")  # what there is in every number, and seldom in anything else
ANYWHERE = re.compile(
    rf"(?:\+|%2[Bb])(?:[0-9]{{7,15}}(?![0-9])|\(?[0-9]{{1,4}}(?:[ .()/-]{{1,3}}[0-9]{{1,14}}){{1,6}}{END})"  # E.164
    rf"|{ALONE}(?<![0-9][.-])(?:1[ .-])?\(?[0-9]{{3}}\)?[ .-]{{1,2}}[0-9]{{3}}[ .-][0-9]{{4}}{END}"  # as in North America
    rf"|{ALONE}(?<![0-9]\.)(?<!{UUID})(?!{TIME})[0-9]{{9,15}}{END}(?!{UNIT}\b)"
)
KEPT = (
    rf"{UUID}{HEX}{{12}}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.]+(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
    r"|(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9.])"
    r"|(?<=[\w\]])(?<!\bsip)(?<!\bsips)(?<!\btel):[0-9]{1,5}(?![0-9])"  # a port
)
IN_FIELD = re.compile(
    rf"(?P<kept>{KEPT})|(?:\+|%2[Bb])?\(?(?:[0-9]{{7,15}}(?![0-9])|[0-9](?:[ .()/-]{{0,3}}[0-9]){{3,}})"
)


def names_a_number(field: str) -> bool:
    """Whether a field of this name holds the number of a caller, or of who is called.

    >>> [name for name in ("ani", "callerId", "from", "X-Caller-Number", "call_id", "replay_from") if names_a_number(name)]
    ['ani', 'callerId', 'from', 'X-Caller-Number']
    """
    return FIELD.search(CAMEL.sub("_", field).replace("-", "_").lower()) is not None


def masked(text: str) -> str:
    """The text without what is shaped like a number: in E.164, as in North America, or 9 to 15 digits by themselves."""
    return ANYWHERE.sub(_mask, text) if MAYBE.search(text) else text


def masked_field(text: str) -> str:
    """The text of a field that is named for a number, where even an extension of four digits is one.

    >>> masked_field("sip:5551234@10.0.0.1:5060"), masked_field("+44 20 7946 0018"), masked_field("1234")
    ('sip:***1234@10.0.0.1:5060', '+4420***0018', '***')
    """
    if "://" in text:  # an address with a port and a path, and no number unless it is shaped like one
        return masked(text)
    return IN_FIELD.sub(lambda found: found["kept"] or _mask(found), text)


def _mask(found: re.Match[str]) -> str:
    """At most four digits at either end, and never fewer than three of them hidden."""
    text = found[0]
    international = text.startswith(("+", "%"))
    digits = re.sub("[^0-9]", "", text.removeprefix("%2B").removeprefix("%2b"))
    if found.re is ANYWHERE and len(digits) < 7:
        return text
    seen = min(8, len(digits) - 3) if len(digits) >= 7 else 0
    return "+" * international + digits[: max(0, seen - 4)] + "***" + digits[len(digits) - min(4, seen) :]
