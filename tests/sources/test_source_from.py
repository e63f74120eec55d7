"""What a person names, and what is said where it cannot be a source."""

from __future__ import annotations

import os
import socket

import pytest

from supervisor.core.audio import AudioFormat
from supervisor.core.problem import Exit, Problem
from supervisor.core.unwrap import Declared
from supervisor.sources import CommandSource, FifoSource, FileSource, Source, StdinSource, source_from
from supervisor.sources.ahead import unreadable

RAW = {"encoding": "mulaw", "sample_rate": 8000}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    """A folder with one of each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "call.wav").write_bytes(b"")
    (tmp_path / "a:b.wav").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    os.mkfifo("line")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")


@pytest.mark.parametrize(
    "argument, source, label, live",
    [
        ("-", StdinSource, "stdin", False),
        ("call.wav", FileSource, "file:call.wav", False),
        ("file:call.wav", FileSource, "file:call.wav", False),
        ("a:b.wav", FileSource, "file:a:b.wav", False),
        ("/dev/null", FileSource, "file:/dev/null", False),
        ("line", FifoSource, "fifo:line", True),
        ("fifo:line", FifoSource, "fifo:line", True),
        ("file:line", FifoSource, "fifo:line", True),
        ("command:cat -u /tmp/x", CommandSource, "command:cat", True),
    ],
)
def test_a_source_is_what_it_is_named_or_what_the_path_is(argument, source, label, live):
    found = source_from(argument, **RAW)

    assert isinstance(found, source)
    assert found.label == label
    assert found.declared == Declared("mulaw", 8000)
    assert found.live is live
    for asked in (True, False):
        assert source_from(argument, live=asked).live is asked  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "argument, words, code",
    [
        ("gone.wav", "there is no file gone.wav: check the name", Exit.NO_INPUT),
        ("file:gone.wav", "there is no file gone.wav: check the name", Exit.NO_INPUT),
        ("fifo:gone", "there is no FIFO gone: make one with mkfifo", Exit.NO_INPUT),
        ("fifo:call.wav", "call.wav is not a FIFO: make one with mkfifo", Exit.NO_INPUT),
        ("folder", "folder is a directory: name the audio file in it", Exit.NO_INPUT),
        ("fifo:folder", "folder is not a FIFO", Exit.NO_INPUT),
        ("sock", "sock is a socket: connect with command:socat", Exit.NO_INPUT),
        ("call.wav/more", "cannot read file call.wav/more: Not a directory", Exit.NO_INPUT),
        ("x" * 300, "File name too long", Exit.NO_INPUT),
        ("zero\0byte", "there is no file zero byte", Exit.NO_INPUT),
        ("", "an empty word names no file: name one", Exit.USAGE),
        ("file:", "file: names no file: name one", Exit.USAGE),
        ("fifo:", "fifo: names no file: name one", Exit.USAGE),
        ("command:", "the source names no command", Exit.USAGE),
        ("command:sh -c 'oops", "cannot read the command", Exit.USAGE),
        ("https://host/a.mp3", "https://... is not a file: decode it", Exit.USAGE),
        ("rtsp://me:secret@host/a?key=secret", "is not a file: decode it", Exit.USAGE),
    ],
)
def test_what_cannot_be_a_source_is_one_line_with_a_way_on(argument, words, code):
    with pytest.raises(Problem) as caught:
        source_from(argument)

    assert words in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code is code
    assert str(caught.value).isprintable()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "said, words",
    [
        ({"encoding": "opus"}, "opus is compressed, and cannot be sent again from its middle: decode it"),
        ({"encoding": "MP3"}, "MP3 is compressed"),
        ({"encoding": "s16le"}, "there is no encoding 's16le': use linear16"),
        ({"encoding": "ULAW"}, "there is no encoding 'ULAW': use mulaw"),
        ({"encoding": "liner16"}, "use linear16"),
        ({"encoding": "mu-law"}, "use mulaw"),
        ({"encoding": "zzz"}, "use linear16, linear32, mulaw, alaw"),
        ({"sample_rate": 0}, "sample rate cannot be 0: give a positive number"),
        ({"channels": -1}, "channels cannot be -1: give a positive number"),
    ],
)
def test_what_is_said_of_the_audio_is_checked_before_any_of_it_is_read(said, words):
    for argument in ("-", "call.wav", "command:cat"):
        with pytest.raises(Problem) as caught:
            source_from(argument, **said)

        assert words in str(caught.value)
        assert caught.value.exit_code is Exit.USAGE


def test_a_declaration_needs_two_parts_to_be_a_format():
    def formed(**said: object) -> AudioFormat | None:
        source: Source = source_from("-", **said)  # type: ignore[arg-type]
        return source.declared.format  # type: ignore[attr-defined, no-any-return]

    assert formed(**RAW) == AudioFormat("mulaw", 8000, 1)
    assert formed(**RAW, channels=2) == AudioFormat("mulaw", 8000, 2)
    assert formed(encoding="mulaw") is None
    assert formed(sample_rate=8000) is None


@pytest.mark.parametrize(
    "error, words",
    [
        (PermissionError(13, "Permission denied"), "no permission to read file x: check its owner and mode (ls -l)"),
        (FileNotFoundError(2, "No such file"), "there is no file x: check the name"),
        (IsADirectoryError(21, "Is a directory"), "file x is a directory: name the audio file in it"),
        (OSError(5, "Input/output error"), "cannot read file x: Input/output error"),
        (OSError("odd"), "cannot read file x: OSError('odd')"),
    ],
)
def test_an_error_of_the_system_is_told_in_words(error, words):
    assert str(unreadable("file x", error)) == words
    assert unreadable("file x", error).exit_code is Exit.NO_INPUT
