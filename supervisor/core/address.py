"""Where something listens, as it is written in a config: HOST:PORT."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def parse_address(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """The address and the port; raises ValueError. Names other than localhost are not looked up.

    >>> parse_address("localhost:9092"), parse_address("[::1]:0")
    ((IPv4Address('127.0.0.1'), 9092), (IPv6Address('::1'), 0))
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError("there is no such port")
    bracketed = host.startswith("[") and host.endswith("]")
    address = ip_address("127.0.0.1" if host == "localhost" else host[1:-1] if bracketed else host)
    if bracketed is not isinstance(address, IPv6Address):
        raise ValueError("an IPv6 address stands in brackets, and nothing else does")
    return address, int(port)
