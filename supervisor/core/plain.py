"""Foreign text made fit to be shown: no control characters, no line breaks, no more than a line of it.

What a server or a user wrote may hold escape sequences that move a cursor, or marks that turn the direction of
writing. Unicode calls all of them unprintable, so one test removes them.
"""

from __future__ import annotations


def plain(text: str, longest: int = 200) -> str:
    """The same words on one line, each run of what cannot be printed a space, cut where it is too long.

    >>> plain("no\\x1b[31m such\\nmodel")
    'no [31m such model'
    >>> plain("a long story", longest=9)
    'a long...'
    """
    # Cut first: a line is wanted, and what came may be megabytes.
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return words if len(words) <= longest else words[: longest - 3].rstrip() + "..."
