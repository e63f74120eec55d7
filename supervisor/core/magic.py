"""What bytes that should be raw audio look like instead: a container, by its first bytes, or text.

Nothing here is certain. Raw audio may by chance begin like anything, so what is found in audio that somebody declared
raw is a warning, and no more.
"""

from __future__ import annotations

import codecs

HEAD = 1024  # the bytes that text is looked for in
FIRST = (
    (b"OggS", "Ogg"),
    (b"ID3", "MP3"),
    (b"fLaC", "FLAC"),
    (b"\x1a\x45\xdf\xa3", "WebM or Matroska"),  # EBML, RFC 8794
    (b"RF64", "WAV"),
    (b"BW64", "WAV"),
    (b"RIFX", "RIFX"),
    (b"riff\x2e\x91\xcf\x11", "Wave64"),
    (b".snd", "AU"),
    (b"caff", "CAF"),
    (b"#!AMR", "AMR"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (b"FLV\x01", "FLV"),
)
# Long enough not to come up by chance in days of audio, unlike the four bytes that a container begins with.
WITHIN = ((b"WAVEfmt ", "WAV"), (b"OggS\0", "Ogg"))
OVERLAP = 7  # bytes of the last block to look at again with the next


def container(head: bytes) -> str:
    """The container that begins with these bytes, or nothing.

    >>> container(b"fLaC..."), container(b"RIFF....WAVEfmt "), container(b"....ftypM4A "), container(b"audio")
    ('FLAC', 'WAV', 'MP4 or M4A', '')
    """
    if head[:4] in (b"RIFF", b"FORM"):
        forms = {b"WAVE": "WAV", b"AVI ": "AVI", b"AIFF": "AIFF", b"AIFC": "AIFF"}
        return forms.get(head[8:12], "RIFF" if head[:4] == b"RIFF" else "")
    if head[4:8] == b"ftyp":
        return "MP4 or M4A"
    return next((name for first, name in FIRST if head.startswith(first)), "")


def inside(block: bytes) -> str:
    """The container whose mark is somewhere in this block, or nothing."""
    return next((name for mark, name in WITHIN if mark in block), "")


def is_text(head: bytes) -> bool:
    """Whether these first bytes are words rather than samples: UTF-8, nearly all of it printable, and varied.

    A constant level may well be printable, so a few different characters prove nothing.

    >>> is_text(b"GET / HTTP/1.1\\r\\nHost: localhost"), is_text(b"U" * 1000), is_text(bytes(range(256)))
    (True, False, False)
    """
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head[:HEAD])  # its last character may be cut
    except UnicodeDecodeError:
        return False
    shown = sum(c.isprintable() or c in "\t\n\r\f" for c in text)
    return len(set(text)) >= 8 and shown >= 0.98 * len(text)
