"""A watched directory and real processes, which are killed and told to end in the middle of a file."""

from __future__ import annotations

import json
import signal

import trio

from tests.system.processes import beside_an_emulator, spoken, start, wav, words_of

CONFIG = """
version = 1
[deepgram]
url = "{url}"
[[intake]]
name = "box"
kind = "directory"
directory = "{directory}"
[[sink]]
kind = "files"
directory = "{directory}.transcripts"
"""


async def until(path):
    while not path.exists():  # noqa: ASYNC110 - the kernel rings no bell
        await trio.sleep(0.05)


def site(tmp_path, url):
    directory = tmp_path / "calls"
    directory.mkdir()
    config = tmp_path / "supervisor.toml"
    config.write_text(CONFIG.format(url=url, directory=directory))
    return directory, config


async def serve(nursery, config):
    service = await start(nursery, "run", config)
    await service.until(b'"ready"', "err")
    return service


def files(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_file_whose_process_is_killed_is_transcribed_whole_by_the_next(tmp_path):
    async def test(url, emulator):
        directory, config = site(tmp_path, url)
        async with trio.open_nursery() as nursery:
            killed = await serve(nursery, config)
            wav(directory / "call.wav", 2.0)
            await until(directory / "working/call.wav")
            await killed.until(b'"session_opened"', "err")
            killed.process.kill()
            await killed.process.wait()
            assert files(directory) == {"working/call.wav"}
            service = await serve(nursery, config)
            second = await start(nursery, "run", config)  # the dead one's lock is free, and this one's is not
            await until(directory / "done/call.wav.jsonl")
            service.process.send_signal(signal.SIGTERM)
            assert await service.process.wait() == 0
            assert await second.process.wait() == 78
            assert b"is watched already" in second.err
        assert files(directory) == {"done/call.wav", "done/call.wav.jsonl"}
        events = [json.loads(line) for line in (directory / "done/call.wav.jsonl").read_text().splitlines()]
        assert words_of(events) == spoken(2.0)
        assert events[-1]["audio"]["acknowledged"] == 2.0
        assert len(emulator.proof.connections) == 2

    beside_an_emulator(test)


def test_a_file_in_the_middle_of_which_the_service_is_told_to_end_twice_stays_for_the_next_start(tmp_path):
    """The second signal ends sources: what a file gave until then is no transcript of it."""

    async def test(url, emulator):
        directory, config = site(tmp_path, url)
        async with trio.open_nursery() as nursery:
            service = await serve(nursery, config)
            wav(directory / "call.wav", 60.0)
            await service.until(b'"session_opened"', "err")
            service.process.send_signal(signal.SIGTERM)
            await service.until(b'"draining"', "err")
            service.process.send_signal(signal.SIGTERM)
            await service.process.wait()
        assert files(directory) == {"working/call.wav"}
        assert b'"outcome":"complete"' in service.err

    beside_an_emulator(test)
