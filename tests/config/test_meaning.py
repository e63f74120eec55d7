"""What a good config means: its options, its description, and the memory it may use."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from supervisor.config import Config, describe, total_bytes
from supervisor.core.audio import AudioFormat
from supervisor.core.settings import BufferSettings
from tests.config.loading import GOOD, loaded


def test_a_calls_options_go_over_those_of_all() -> None:
    config = loaded("""
        version = 1
        [deepgram]
        options = { model = "nova-2", language = "de", tag = ["a", "b"] }
        [[call]]
        name = "b"
        source = "b.wav"
        options = { language = "en" }
        [[sink]]
        kind = "stdout"
    """)

    assert config.options(config.calls[0]) == {"model": "nova-2", "language": "en", "tag": ["a", "b"]}


def test_without_sinks_there_is_standard_output() -> None:
    assert [sink.kind for sink in loaded(GOOD[: GOOD.index("[[sink]]")]).sinks] == ["stdout"]
    assert [sink.kind for sink in loaded(GOOD).sinks] == ["files"]


def test_what_is_doubtful_is_a_warning() -> None:
    config = loaded(GOOD + '[[call]]\nname = "b"\nsource = "b.wav"\noptions = { unheard_of = "x" }\n')

    (warning,) = config.warnings
    assert "unheard_of" in warning


@pytest.mark.parametrize(
    "size, expected", [('"1 GiB"', 2**30), ('"500MB"', 500_000_000), ('"1.5 gib"', 3 * 2**29), ("2000000", 2_000_000), ("0", 0)]
)
def test_sizes_have_units(size: str, expected: int) -> None:
    assert loaded(f"{GOOD}[buffer]\ntotal = {size}\n").settings.buffer.total == expected


def test_the_description_says_what_differs_and_the_url_that_will_be_dialled() -> None:
    shown = describe(loaded(GOOD + '[limits]\nmax_calls = 7\ndrain_timeout = 1234567.5\n'))

    assert "max_calls = 7  # not the default, 100" in shown
    assert "drain_timeout = 1234567.5  # not the default, 300" in shown
    assert "\n# ws://127.0.0.1:8080/v1/listen?model=nova-3&smart_format=true&interim_results=true\n" in shown
    assert shown.endswith("# and encoding, sample_rate and channels as the audio itself says")


def test_where_the_audio_is_known_the_url_is_whole() -> None:
    raw = GOOD.replace('source = "calls/one.wav"', 'source = "x"\nencoding = "mulaw"\nsample_rate = 8000\nchannels = 2')

    assert "encoding=mulaw&sample_rate=8000&channels=2&smart_format=true&multichannel=true" in describe(loaded(raw))
    assert "sample_rate=44100" in describe(loaded(GOOD), {"line-1": AudioFormat("linear16", 44100, 1)})


def test_the_description_is_toml_that_means_the_same() -> None:
    config = loaded(
        GOOD + '[retry]\nverdicts = { 1008 = "retry", "DATA-0000" = "abort" }\n'
        '[[call]]\nname = "b \\"q\\" \\\\"\nsource = "b"\nlive = false\nlabels = ["a"]\nmetadata = { ticket = "1" }\n'
    )  # fmt: skip

    assert tomllib.loads(describe(config))["retry"]["verdicts"] == {"1008": "retry", "DATA-0000": "abort"}
    assert loaded(describe(config)) == config


def test_nothing_that_a_terminal_obeys_is_in_the_description() -> None:
    shown = describe(loaded(GOOD.replace("calls/one.wav", "\\u001b]0;x\\u0007.wav").replace("transcripts", "a\\u009b2J")))

    assert all(line.isprintable() for line in shown.split("\n"))


MACHINE = 8 * 2**30
MEMINFO = {"proc/meminfo": "MemTotal:        8388608 kB\nMemFree: 1 kB\n"}


class TestMemory:
    """`root` is a machine's file system, as far as it says how much memory there is."""

    def machine(self, root: Path, files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    @pytest.mark.parametrize(
        "files, memory",
        [
            ({}, MACHINE),
            # version 2: its own limit, one above it, none
            ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1073741824\n"}, 2**30),
            ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
              "sys/fs/cgroup/a/memory.max": "2147483648\n"}, 2**31),
            ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, MACHINE),
            # in a container its own limit is at the top, whatever path the host has given it
            ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 2**29),
            ({"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 2**29),
            # version 1, whose word for no limit is a number beyond all machines
            ({"proc/self/cgroup": "5:memory:/a\n3:cpu:/b\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "268435456\n"}, 2**28),
            ({"proc/self/cgroup": "5:memory:/a\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE),
            # both, and a path with a colon in it
            ({"proc/self/cgroup": "5:memory:/x:y\n0::/z\n", "sys/fs/cgroup/memory/x:y/memory.limit_in_bytes": "268435456\n"}, 2**28),
            # nonsense limits nothing
            ({"proc/self/cgroup": "nonsense\n\n0:\n0::/../..\n", "sys/fs/cgroup/memory.max": "much\n"}, MACHINE),
        ],
    )  # fmt: skip
    def test_it_is_half_of_the_least_of_what_there_is(self, tmp_path: Path, files: dict[str, str], memory: int) -> None:
        assert total_bytes(BufferSettings(), self.machine(tmp_path, MEMINFO | files)) == memory // 2

    def test_what_is_configured_goes_before(self, tmp_path: Path) -> None:
        assert total_bytes(BufferSettings(total=12345678), self.machine(tmp_path, MEMINFO)) == 12345678

    @pytest.mark.parametrize("files", [{}, {"proc/meminfo": ""}, {"proc/meminfo": "MemTotal:\n"}])
    def test_where_nothing_is_known_it_is_half_of_a_gibibyte(self, tmp_path: Path, files: dict[str, str]) -> None:
        assert total_bytes(BufferSettings(), self.machine(tmp_path, files)) == 2**29

    def test_this_machine_has_some(self) -> None:
        assert total_bytes(BufferSettings()) >= 2**20


def test_a_config_of_defaults_has_no_call() -> None:
    assert Config().calls == ()
