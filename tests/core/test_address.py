"""Where something may listen."""

from __future__ import annotations

import pytest

from supervisor.core.address import parse_address


@pytest.mark.parametrize(
    "text, host, port",
    [("127.0.0.1:9092", "127.0.0.1", 9092), ("0.0.0.0:0", "0.0.0.0", 0), ("[::]:65535", "::", 65535), ("localhost:1", "127.0.0.1", 1)],
)
def test_an_address_and_a_port(text: str, host: str, port: int) -> None:
    address, found = parse_address(text)

    assert (str(address), found) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", "9092", ":9092", "x:9092", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:²", "::1:80", "[127.0.0.1]:80", "[::1:80", "1.2.3.4:-1"],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address(text)
