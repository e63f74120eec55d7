"""The trays of a watched directory: whatever stops the process, and at whichever step, no file is lost or done twice."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from itertools import product

import pytest

from supervisor.core.problem import Exit, Problem
from supervisor.intakes.trays import Trays

AUDIO = b"RIFF and so on"


class Killed(BaseException):
    """The process is gone, at once: nothing that would clean up is run."""


class Dies:
    """Calls `what` at the step of that number; remembers what was done until then."""

    def __init__(self, at=None, what=None):
        self.at, self.what, self.steps = at, what or self.die, []

    def __call__(self, step):
        if len(self.steps) == self.at:
            self.at = None
            self.what()
        self.steps.append(step)

    @staticmethod
    def die():
        raise Killed

    @staticmethod
    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def tree(directory):
    """Every file below it but the lock, and what is in it."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def live(directory, step, failure, transcribed, again=False):
    """One process, from its start until all is done, or until it is killed."""
    trays = Trays(directory, step=step)
    try:
        trays.open()
        while True:
            seen = trays.look(())
            assert not seen.stuck
            assert not seen.ignored
            stems = [*seen.left, *filter(None, (trays.take(name, stamp) for name, stamp in seen.dropped.items()))]
            for stem in stems:
                transcribed.append(stem)
                stamp, transcript = trays.stamp(stem), f"said {len(transcribed)}".encode()
                while True:
                    try:
                        assert trays.finish(stem, stamp, ".jsonl", transcript, failure)
                        break
                    except OSError:
                        assert again
            if not stems:
                return
    finally:
        trays.close()  # as the kernel does


def over(failure, number):
    said = f"said {number}".encode()
    if failure:
        return {
            "failed/call.wav": AUDIO, "failed/call.wav.jsonl": said, "failed/call.wav.error.txt": b"it is broken\n",
        }  # fmt: skip
    return {"done/call.wav": AUDIO, "done/call.wav.jsonl": said}


def steps_of(tmp_path, failure):
    """What a process does that nobody stops; and how many of its steps come before the file is over."""
    directory = tmp_path / "undisturbed"
    directory.mkdir()
    (directory / "call.wav").write_bytes(AUDIO)
    dies, transcribed = Dies(), []
    live(directory, dies, failure, transcribed)
    assert tree(directory) == over(failure, 1)
    decisive = next(n for n, step in enumerate(dies.steps) if step.endswith(".failing to working" if failure else ".part to working"))
    return len(dies.steps), decisive


@pytest.mark.parametrize("failure", ["", "it is broken"], ids=["done", "failed"])
def test_a_process_killed_twice_at_any_two_steps_neither_loses_a_file_nor_repeats_it(tmp_path, failure):
    count, decisive = steps_of(tmp_path, failure)
    assert count >= 9

    for first, second in product(range(count), range(count + 1)):
        directory = tmp_path / f"{first}-{second}"
        directory.mkdir()
        (directory / "call.wav").write_bytes(AUDIO)
        transcribed = []
        for at in (first, second):
            with suppress(Killed):
                live(directory, Dies(at), failure, transcribed)
        live(directory, Dies(), failure, transcribed)

        assert tree(directory) == over(failure, len(transcribed)), (first, second)
        if first > decisive:
            assert transcribed == ["call.wav"], (first, second)


@pytest.mark.parametrize("failure", ["", "it is broken"], ids=["done", "failed"])
def test_a_disk_that_fails_at_any_step_is_only_a_delay(tmp_path, failure):
    count, _ = steps_of(tmp_path, failure)

    for at in range(2, count):  # the file has been taken
        directory = tmp_path / str(at)
        directory.mkdir()
        (directory / "call.wav").write_bytes(AUDIO)
        transcribed = []
        live(directory, Dies(at, Dies.full), failure, transcribed, again=True)

        assert tree(directory) == over(failure, 1), at
        assert transcribed == ["call.wav"]


def test_nothing_is_left_of_a_transcript_whose_file_was_taken_away(tmp_path):
    (tmp_path / "call.wav").write_bytes(AUDIO)
    with suppress(Killed):
        live(tmp_path, Dies(3), "", [])
    assert (tmp_path / "working/.call.wav.jsonl.part").exists()
    (tmp_path / "working/call.wav").unlink()

    live(tmp_path, Dies(), "", [])

    assert tree(tmp_path) == {}


# Names


def through(directory, *names, working=()):
    """What becomes of files of those names, taken at once and finished in order."""
    trays = Trays(directory)
    trays.open()
    stems = []
    for name in names:
        (directory / name).write_bytes(AUDIO)
        stems.append(trays.take(name, trays.look(stems).dropped[name]))
    for stem in stems:
        assert trays.finish(stem, trays.stamp(stem), ".txt", b"said")
    trays.close()
    return stems


def test_a_name_that_is_taken_gets_a_number_and_nothing_is_written_over(tmp_path):
    assert through(tmp_path, "call.wav", "call.wav") == ["call.wav", "call~2.wav"]  # while the first is being worked on
    assert through(tmp_path, "call.wav") == ["call~3.wav"]
    (tmp_path / "failed/call~4.wav.error.txt").write_bytes(b"x")
    assert through(tmp_path, "call.wav") == ["call~5.wav"]

    numbers = ("call.wav", "call~2.wav", "call~3.wav", "call~5.wav")
    assert tree(tmp_path / "done") == dict.fromkeys(numbers, AUDIO) | {f"{name}.txt": b"said" for name in numbers}


@pytest.mark.parametrize(
    "names",
    [
        ("call", "call.txt"),  # the transcript of one would be the other
        ("call.txt", "call"),
        ("call.jsonl", "call"),
        ("call.wav.done", "call.wav"),
        ("call.wav.failed", "call.wav.failing", "call.wav"),
        ("call.wav.txt.part.wav", "call.wav"),
    ],
)
def test_no_files_name_is_taken_for_what_becomes_of_another(tmp_path, names):
    stems = through(tmp_path, *names)

    assert len(set(stems)) == len(names)
    assert tree(tmp_path) == {f"done/{stem}": AUDIO for stem in stems} | {f"done/{stem}.txt": b"said" for stem in stems}


@pytest.mark.parametrize("name", ["ü" * 120 + ".wav", "x" * 255, "a." + "b" * 200, b"caf\xe9.wav"])
def test_long_names_and_names_that_are_no_text(tmp_path, name):
    (stem,) = through(tmp_path, os.fsdecode(name))

    assert len(os.fsencode(stem)) <= 200
    assert set(os.listdir(tmp_path / "done")) == {stem, f"{stem}.txt"}  # noqa: PTH208 - as they are


def test_what_is_in_the_way_is_left_alone_and_waited_for(tmp_path):
    trays = Trays(tmp_path)
    trays.open()
    (tmp_path / "call.wav").write_bytes(AUDIO)
    stem = trays.take("call.wav", trays.look(()).dropped["call.wav"])
    (tmp_path / "done/call.wav").write_bytes(b"somebody put it there meanwhile")

    assert trays.finish(stem, trays.stamp(stem), ".jsonl", b"said")

    assert (tmp_path / "done/call.wav").read_bytes() == b"somebody put it there meanwhile"
    seen = trays.look(())
    assert seen.stuck["call.wav"].errno == errno.EEXIST
    assert seen.left == {}
    (tmp_path / "done/call.wav").unlink()
    assert trays.look(()).stuck == {}
    assert tree(tmp_path) == {"done/call.wav": AUDIO, "done/call.wav.jsonl": b"said"}
    trays.close()


# Whether it is the file that was transcribed


def finished(path, change, failure):
    """Whether a file may be over that was changed so while it was transcribed, and what there is then."""
    path.joinpath("call.wav").write_bytes(AUDIO)
    trays = Trays(path)
    stem = trays.take("call.wav", trays.look(()).dropped["call.wav"])
    stamp = trays.stamp(stem)
    change(trays.working / stem)
    over = trays.finish(stem, stamp, ".jsonl", b"said", failure)
    trays.close()
    return over, set(tree(path))


def grow(path):
    path.write_bytes(AUDIO * 2)


def replace(path):
    path.with_name(".other").write_bytes(AUDIO)
    path.with_name(".other").rename(path)


@pytest.mark.parametrize("failure", ["", "it is broken"])
@pytest.mark.parametrize("change", [grow, replace])
def test_a_file_that_changed_meanwhile_is_not_over(tmp_path, change, failure):
    assert finished(tmp_path, change, failure) == (False, {"working/call.wav"})


@pytest.mark.parametrize("failure, there", [("", {"done/call.wav.jsonl"}), ("there is no such file", set())])
def test_of_a_file_that_is_gone_what_was_heard_is_kept_and_a_failure_is_not(tmp_path, failure, there):
    assert finished(tmp_path, lambda path: path.unlink(), failure) == (not failure, there)


# What is taken


def test_only_whole_plain_files_that_can_be_read(tmp_path, monkeypatch):
    (tmp_path / "audio.wav").write_bytes(AUDIO)
    for name in (".hidden.wav", "a.wav.part", "b.TMP", "c.filepart", "d.crdownload"):
        (tmp_path / name).write_bytes(AUDIO)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "audio.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "working/odd").mkdir(parents=True)
    (tmp_path / "secret.wav").write_bytes(AUDIO)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("secret.wav") and access(path, mode))

    trays = Trays(tmp_path)
    seen = trays.look(())
    trays.close()

    assert list(seen.dropped) == ["audio.wav"]
    assert seen.ignored == {
        "empty.wav": "it is empty",
        "link.wav": "it is a symbolic link",
        "pipe.wav": "it is no file",
        "working/odd": "it is no file",
        "secret.wav": "there is no permission to read it",
    }


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_bytes(AUDIO * 2)])
def test_a_file_that_vanishes_or_changes_between_a_look_and_its_taking_is_not_taken(tmp_path, change):
    path = tmp_path / "call.wav"
    path.write_bytes(AUDIO)
    trays = Trays(tmp_path)
    stamp = trays.look(()).dropped["call.wav"]
    change(path)

    assert trays.take("call.wav", stamp) is None
    assert trays.look(()).left == {}
    trays.close()


def test_transcripts_are_for_their_owner_alone(tmp_path):
    through(tmp_path, "call.wav")

    assert stat.S_IMODE((tmp_path / "done/call.wav.txt").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "done").stat().st_mode) == 0o700


# Being alone


def test_only_one_watches_a_directory(tmp_path):
    first, second = Trays(tmp_path), Trays(tmp_path)
    first.open()

    with pytest.raises(Problem, match="is watched already: give each intake a directory of its own") as caught:
        second.open()

    assert caught.value.exit_code is Exit.CONFIG
    first.close()
    second.open()
    second.close()


def test_a_directory_that_goes_and_comes_back_is_taken_up_again(tmp_path):
    directory = tmp_path / "calls"
    directory.mkdir()
    trays = Trays(directory)
    trays.look(())
    directory.rename(tmp_path / "away")

    with pytest.raises(Problem, match="No such file or directory: make it first"):
        trays.look(())

    directory.mkdir()
    (directory / "call.wav").write_bytes(AUDIO)
    assert list(trays.look(()).dropped) == ["call.wav"]
    with pytest.raises(Problem, match="watched already"):
        Trays(directory).open()
    Trays(tmp_path / "away").open()  # nobody holds that one any more
    (directory / "done").rmdir()
    through_again = trays.take("call.wav", trays.look(()).dropped["call.wav"])
    assert trays.finish(through_again, trays.stamp(through_again), ".jsonl", b"said")
    assert (directory / "done/call.wav").exists()
    trays.close()


def test_what_cannot_be_watched_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match=r"/file cannot be watched: Not a directory.*: name a directory"):
        Trays(tmp_path / "file").open()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Problem, match=r"cannot be watched: Permission denied: let this user read and write there"):
        Trays(tmp_path).open()
