"""The URL: what is wrong with one, what is added to it, and what of it may be shown.

What is said of a wrong URL names its parts and never repeats it whole, for it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from ..plain import plain
from ..problem import Problem

PATH = "/v1/listen"
EXAMPLE = "write one like wss://api.deepgram.com/v1/listen"
LOOPBACK = IPv4Network("127.0.0.0/8")

SECRET = re.compile(
    r"token|secret|passw|api[_-]?key|auth|credential|signature|jwt|(?<![a-z])(key|pass|pwd|sig)(?![a-z])", re.IGNORECASE
)
USERINFO = re.compile(r"(?<=//)[^?#\s]*@")
QUERY_PAIR = re.compile(r"(?<=[?&#])([^=&#]+)=([^&#]*)")


def check_url(base: str, has_key: bool) -> str:
    """The URL to dial, without the options: normalised, with the path added where there is none.

    Raises Problem with the fix. `has_key` is whether a key would be sent: it must not go beyond loopback in clear.

    >>> check_url("wss://api.eu.deepgram.com", has_key=True)
    'wss://api.eu.deepgram.com/v1/listen'
    """
    base = base.strip()
    if not base or not base.isprintable() or " " in base or "\\" in base:
        raise Problem("the URL is empty, or has a space, a backslash or an unprintable character in it", EXAMPLE)
    if "://" not in base:
        raise Problem("the URL has no scheme", "begin it with wss://")
    try:
        parts = urlsplit(base)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Problem("the URL's host or port is not valid", f"a port is 1 to 65535; {EXAMPLE}") from None
    if parts.scheme in ("http", "https"):
        fixed = "wss" if parts.scheme == "https" else "ws"
        raise Problem(f"the URL begins with {parts.scheme}://", f"begin it with {fixed}://")
    if parts.scheme not in ("ws", "wss"):
        raise Problem(f"the URL begins with {plain(parts.scheme, 20)}://", "begin it with wss://")
    if "@" in parts.netloc:
        raise Problem("the URL has a user name or a password in it", "take it out; the key is given with --api-key")
    if not host:
        raise Problem("the URL names no host", EXAMPLE)
    if not (re.fullmatch(r"[._-]*[a-z0-9][a-z0-9._-]*", host) or ":" in host):
        raise Problem(f'the URL\'s host "{plain(host, 60)}" is not valid', "write it in ASCII, a name's xn-- form")
    if port == 0:
        raise Problem("the URL's port is 0", "a port is 1 to 65535")
    if "#" in base:
        raise Problem("the URL has a fragment (#)", "take it out; a # inside a value is written %23")
    if "v2" in unquote(parts.path).lower().split("/"):
        raise Problem("/v2 is Deepgram's Flux, which is not supported yet", f"use {PATH} and a model such as nova-3")
    if has_key and parts.scheme == "ws" and not is_loopback(host):
        raise Problem(f"with ws:// the key would be sent unencrypted to {host}", "begin the URL with wss://")
    options_of(base)
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~") if parts.path.strip("/") else PATH
    address = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    return urlunsplit((parts.scheme, address, path, parts.query, ""))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone: 127.0.0.0/8, ::1 or localhost.

    >>> is_loopback("127.0.0.53"), is_loopback("::1"), is_loopback("127.0.0.1.example.com")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return False
    return address in LOOPBACK if isinstance(address, IPv4Address) else address == IPv6Address("::1")


def options_of(base: str) -> dict[str, str | list[str]]:
    """The options that a checked URL already carries, a repeated key as a list.

    Raises Problem where they are not UTF-8.

    >>> options_of("wss://host/v1/listen?model=nova-2&tag=a&tag=b%20c")
    {'model': 'nova-2', 'tag': ['a', 'b c']}
    """
    try:
        pairs = parse_qsl(urlsplit(base).query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise Problem("the URL's query is not UTF-8", "encode it as UTF-8, or give it as options") from None
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def listen_url(base: str, query: Iterable[tuple[str, str]]) -> str:
    """The whole URL: the options, then what the base carries under other keys.

    >>> listen_url("wss://host/v1/listen?model=base&tag=x", [("model", "nova-3"), ("keyterm", "Acme & Co")])
    'wss://host/v1/listen?model=nova-3&keyterm=Acme%20%26%20Co&tag=x'
    """
    parts = urlsplit(base)
    pairs = list(query)
    given = {key for key, _ in pairs}
    pairs += [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in given]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, encoded(pairs), ""))


def encoded(query: Iterable[tuple[str, str]]) -> str:
    """A query string; a space is %20, which every server reads, and not +."""
    return urlencode(list(query), quote_via=quote, safe="")


def hide_secrets(url: str) -> str:
    """A URL fit to be printed: no user name or password, and no value of a key that sounds like a secret.

    >>> hide_secrets("wss://me:word@host/v1/listen?api_key=abc&keyterm=Acme")
    'wss://***@host/v1/listen?api_key=***&keyterm=Acme'
    """
    url = USERINFO.sub("***@", url)
    return QUERY_PAIR.sub(lambda pair: f"{pair[1]}=***" if SECRET.search(unquote(pair[1])) else pair[0], url)
