"""As much of a terminal as a status line needs, and a complaint about anything more."""

from __future__ import annotations

from supervisor.terminal import columns


class Glass:
    """Rows of text, for bytes. A character that does not fit into the row goes into the next, as terminals do."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows: list[list[str]] = [[]]
        self.at = 0
        self.wrapped = 0
        self.widest = 0

    def feed(self, data: bytes) -> None:
        for character in data.decode():
            if character == "\r":
                self.at = 0
            elif character == "\n":
                self.rows.append([])
                self.at = 0
            else:
                assert character.isprintable() or character in "\u200c\u200d", f"a terminal would obey {character!r}"
                self._put(character)

    def _put(self, character: str) -> None:
        wide = columns(character)[0]
        if wide and self.at + wide > self.width:
            self.wrapped += 1
            self.rows.append([])
            self.at = 0
        row = self.rows[-1]
        row += [" "] * (self.at + wide - len(row))
        if wide:
            row[self.at] = character
            row[self.at + 1 : self.at + wide] = [""] * (wide - 1)
        elif self.at:
            row[self.at - 1] += character
        self.at += wide
        self.widest = max(self.widest, self.at)

    @property
    def text(self) -> list[str]:
        return ["".join(row).rstrip() for row in self.rows]
