"""What bytes look like, when they are not raw audio."""

from __future__ import annotations

import random

import pytest

from supervisor.core.magic import HEAD, container, inside, is_text


@pytest.mark.parametrize(
    "head, name",
    [
        (b"RIFF....WAVEfmt ", "WAV"),
        (b"RIFF....AVI LIST", "AVI"),
        (b"RIFF....XXXX", "RIFF"),
        (b"RIFF", "RIFF"),
        (b"RF64....WAVE", "WAV"),
        (b"FORM....AIFC", "AIFF"),
        (b"FORM....ILBM", ""),
        (b"OggS\0\2", "Ogg"),
        (b"ID3\4", "MP3"),
        (b"fLaC\0", "FLAC"),
        (b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
        (b"\0\0\0\x20ftypisom", "MP4 or M4A"),
        (b"#!AMR\n", "AMR"),
        (b"", ""),
        (b"\xff" * 12, ""),
    ],
)
def test_containers_are_known_by_their_first_bytes(head, name):
    assert container(head) == name


def test_a_container_is_found_inside_audio():
    assert inside(b"\0" * 99 + b"RIFF....WAVEfmt ") == "WAV"
    assert inside(b"\0" * 99 + b"OggS\0\0") == "Ogg"
    assert inside(b"OggS is how it begins") == ""


@pytest.mark.parametrize(
    "text",
    ["HTTP/1.1 404 Not Found\r\nServer: x", "<!DOCTYPE html>\n<html>", "čeština je taky text\n" * 50, "name,from,to\n1,2,3"],
)
def test_words_are_text(text):
    assert is_text(text.encode())
    assert is_text(text.encode()[: HEAD + 1] * 3)


def test_a_character_may_be_cut_where_the_look_ends():
    assert is_text(("x" * (HEAD - 1) + "é and more").encode()) is False  # nothing varied in it
    assert is_text(("some words " * 200)[: HEAD - 1].encode() + "é".encode())


@pytest.mark.parametrize("sample", [0x55, 0xD5, 0xFF, 0x7F, 0x00])
def test_silence_is_not_text(sample):
    assert not is_text(bytes([sample]) * HEAD)


def test_noise_is_not_text():
    rng = random.Random(1)
    for _ in range(200):
        assert not is_text(rng.randbytes(HEAD))
        assert not is_text(bytes(rng.choice(b"\x7e\x7f\xfe\xff") for _ in range(HEAD)))  # quiet mu-law
        assert not is_text(bytes(rng.choice(b"\x54\x55\xd4\xd5") for _ in range(HEAD)))  # quiet A-law
        assert not is_text(b"".join(rng.randint(-9, 9).to_bytes(2, "little", signed=True) for _ in range(HEAD // 2)))
