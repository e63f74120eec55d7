"""What `deploy/` promises to a service manager, held against the program: whoever follows its README gets a service."""

from __future__ import annotations

import fnmatch
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from supervisor.cli import parser
from supervisor.config.model import LimitsConfig
from supervisor.core.problem import Exit
from supervisor.core.settings import SessionSettings
from supervisor.sinks.files import FilesSink
from tests.config.loading import loaded

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT_FILE = DEPLOY / "stream-supervisor.service"
README = (DEPLOY / "README.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REFERENCE = (ROOT / "config" / "supervisor.toml").read_text()
CONFIG = "/etc/stream-supervisor/supervisor.toml"

LAST_WRITES: float = inspect.signature(FilesSink).parameters["patience"].default  # for a full disk, after the last call
# An exit code that is new belongs into one of these.
WILL_FAIL_AGAIN = {Exit.USAGE, Exit.BAD_AUDIO, Exit.NO_INPUT, Exit.DENIED, Exit.CONFIG}
MAY_PASS = {Exit.GAVE_UP, Exit.BUG, Exit.OUTPUT, Exit.UNDELIVERED}


def keys_of(unit: str) -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in unit.splitlines():
        key, is_key, value = line.partition("=")
        if is_key and not key.startswith(("#", "[")):
            found[key].append(value)
    return found


UNIT = keys_of(UNIT_FILE.read_text())


def the(key: str) -> str:
    """A key that stands in the unit once."""
    (value,) = UNIT[key]
    return value


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, in order."""
    lines = re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text()).replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in lines) if word]


def image() -> dict[str, str]:
    """The final stage's; the last of each kind."""
    lines = instructions()
    final = max(number for number, (word, _) in enumerate(lines) if word == "FROM")
    return dict(lines[final + 1 :])


def tool(name: str) -> str:
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return shutil.which(name, path=beside) or pytest.skip(f"{name} is not installed")


def ran(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip(f"this {command[0]} is too old: {done.stderr.strip()}")
    return done.returncode, done.stdout + done.stderr


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    """With a program that is there, since ours is not installed where tests run."""
    program = the("ExecStart").split()[0]
    (tmp_path / UNIT_FILE.name).write_text(UNIT_FILE.read_text().replace(program, sys.executable).replace("=-/", "=/"))
    result = ran(tool("systemd-analyze"), "verify", "--recursive-errors=no", tmp_path / UNIT_FILE.name)

    assert result == (0, "")


def test_systemd_calls_the_service_well_confined() -> None:
    code, said = ran(tool("systemd-analyze"), "security", "--offline=true", "--no-pager", "--threshold=15", UNIT_FILE)

    assert code == 0, said.splitlines()[-1]


def test_the_dockerfile_has_no_lint() -> None:
    assert ran(tool("hadolint"), DEPLOY / "Dockerfile") == (0, "")


def test_the_unit_and_the_image_start_the_same_command() -> None:
    installed, *arguments = shlex.split(the("ExecStart"))
    entry, default = json.loads(image()["ENTRYPOINT"]), json.loads(image()["CMD"])
    args = parser().parse_args(arguments)

    assert (args.command, args.config) == ("run", CONFIG)
    assert default == arguments
    assert entry == [Path(installed).name]
    assert entry[0] in PYPROJECT["project"]["scripts"]
    assert f"PATH={Path(installed).parent}:" in image()["ENV"]


INSTALLED = (DEPLOY / "supervisor.toml").read_text()
INSTALL = (DEPLOY / "install.sh").read_text()


def test_the_config_that_is_installed_is_one_that_runs_with_a_key_beside_it() -> None:
    config = loaded(INSTALLED)

    assert config.deepgram.api_key == f"file:{Path(CONFIG).parent}/deepgram-api-key"
    assert '"$CONFIG/deepgram-api-key"' in INSTALL
    assert config.admin
    assert config.admin.socket == f"/run/{the('RuntimeDirectory')}/admin.sock"
    assert [intake.kind for intake in config.intakes] == ["audiosocket"]
    assert f"User={the('User')}" in UNIT_FILE.read_text()
    assert f"u {the('User')} " in (DEPLOY / "sysusers.conf").read_text()


def test_the_group_may_ask_the_daemon_and_nobody_else() -> None:
    assert (the("RuntimeDirectoryMode"), the("Group")) == ("0750", the("User"))


def test_a_reload_looks_at_the_config_before_the_service_does() -> None:
    first, second = UNIT["ExecReload"]

    assert shlex.split(first)[1:] == ["check", CONFIG]
    assert second == "/bin/kill -HUP $MAINPID"


def test_who_installs_without_being_root_is_told_in_a_line() -> None:
    for script in ("install.sh", "uninstall.sh"):
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        done = subprocess.run([*nobody, "sh", DEPLOY / script], capture_output=True, text=True, timeout=20, check=False)

        assert done.returncode == 1
        assert "run it as root" in done.stderr or "Permission denied" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("prefix, line", [("opt/x", "it must begin with /"), ("/opt/a b", "letters, digits")])
def test_a_prefix_that_systemd_could_not_start_from_is_refused(prefix: str, line: str) -> None:
    done = subprocess.run(
        ["sh", DEPLOY / "install.sh"], env={**os.environ, "PREFIX": prefix}, capture_output=True, text=True, timeout=20, check=False
    )

    assert done.returncode == 1
    assert line in done.stderr


def test_compose_gives_a_drain_its_time_and_a_health_check_its_socket() -> None:
    compose = (DEPLOY / "compose.yaml").read_text()
    config = loaded((DEPLOY / "rehearsal.toml").read_text())

    assert f"stop_grace_period: {the('TimeoutStopSec')}s" in compose
    assert config.admin
    assert f"{Path(config.admin.socket).parent}:uid={image()['USER'].split(':')[0]}" in compose
    assert json.loads(image()["HEALTHCHECK"].partition("CMD ")[2]) == ["stream-supervisor", "health"]


def test_compose_puts_nothing_but_files_into_a_container_that_is_read_only() -> None:
    """It would copy a `content:` or an `environment:` into it, which Docker refuses: the container then never starts."""
    compose = (DEPLOY / "compose.yaml").read_text()

    assert "read_only: true" in compose
    assert re.findall(r"(?m)^ *#?file: \./(\S+)", compose) == ["rehearsal.toml"]
    assert not re.search(r"(?m)^\s*#?(content|environment):", compose)


@pytest.mark.parametrize("key, kept, used", [
    ("StateDirectory", "/var/lib", r'directory = "(/var/lib/[^"]*)"'),
    ("RuntimeDirectory", "/run", r'socket = "([^"]*)"'),
])  # fmt: skip
def test_what_the_reference_config_writes_is_in_a_directory_that_systemd_makes(key: str, kept: str, used: str) -> None:
    """The parent, for no missing one is made."""
    found = re.findall(used, REFERENCE)

    assert found
    assert {Path(kept, the(key))} == {Path(path).parent for path in found}


def test_the_images_user_owns_the_place_of_the_transcripts_and_is_not_root() -> None:
    user, group = image()["USER"].split(":")
    made = shlex.split(" ".join(json.loads(image()["RUN"])))
    config = loaded(heredoc("supervisor.toml"))
    (directory,) = {str(Path(sink.directory or "").parent) for sink in config.sinks}

    assert int(user) > 0  # a number: only then can an orchestrator see that it is not root
    assert config.admin
    places = {directory, str(Path(config.admin.socket).parent)}
    assert {f"--owner={user}", f"--group={group}", "--mode=0700", *places} <= set(made)
    assert f"--owner={user} --group={group} " in README  # the key's


def test_only_what_may_pass_is_tried_again() -> None:
    assert set(Exit) - {Exit.OK} == WILL_FAIL_AGAIN | MAY_PASS
    assert the("Restart") == "on-failure"
    assert set(map(int, the("RestartPreventExitStatus").split())) == WILL_FAIL_AGAIN
    assert the("ExecStartPre").startswith("-")  # systemd would start again for ever what fails before the main process


def test_nobody_kills_a_drain_of_the_default_length() -> None:
    """Calls end by themselves, then the server has its last word, then it is written."""
    needed = LimitsConfig().drain_timeout + SessionSettings().patience + LAST_WRITES

    assert int(the("TimeoutStopSec")) > needed
    assert {int(seconds) for seconds in re.findall(r"--stop-timeout (\d+)", README)} == {int(the("TimeoutStopSec"))}
    assert image()["STOPSIGNAL"] == "SIGTERM"


def test_a_stop_leaves_the_children_to_the_service_which_still_wants_their_audio() -> None:
    assert the("KillMode") == "mixed"
    assert "--kill-whom=main" in README


def test_the_service_manager_listens_to_what_the_service_says() -> None:
    assert (the("Type"), the("NotifyAccess")) == ("notify", "main")
    assert float(the("WatchdogSec")) > 1


def is_sent(path: str) -> bool:
    """Whether Docker's build context has the file: of the patterns for it, or for a folder it is in, the last decides."""
    names = [path, *map(str, Path(path).parents)][:-1]
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if pattern and not pattern.startswith("#"):
            either = {pattern, pattern.removeprefix("**/")}
            if any(fnmatch.fnmatchcase(name, each) for name in names for each in either):
                sent = line.startswith("!")
    return sent


def test_the_image_is_built_from_all_that_a_wheel_needs() -> None:
    project, hatch = PYPROJECT["project"], PYPROJECT["tool"]["hatch"]
    needed = ["pyproject.toml", project["readme"], *project["license-files"], hatch["version"]["path"]]
    shipped = [path for package in hatch["build"]["targets"]["wheel"]["packages"] for path in (ROOT / package).rglob("*")]
    needed += [str(path.relative_to(ROOT)) for path in shipped if path.is_file() and "__pycache__" not in path.parts]

    assert [path for path in needed if not is_sent(path)] == []


@pytest.mark.parametrize("path", [
    ".git/config", ".env", ".venv/bin/python", "deepgram-api-key", "tests/test_cli.py", "config/supervisor.toml",
    "supervisor/__pycache__/cli.pyc", "supervisor/core/__pycache__/audio.pyc", "transcripts/line-1.jsonl",
])  # fmt: skip
def test_no_secret_and_nothing_that_changes_without_the_program_is_in_the_image(path: str) -> None:
    assert not is_sent(path)


def test_the_image_has_only_extras_that_there_are() -> None:
    extras = {extra for _, rest in instructions() for found in re.findall(r"/src\[([^]]*)\]", rest) for extra in found.split(",")}

    assert extras
    assert extras <= set(PYPROJECT["project"]["optional-dependencies"])


def blocks() -> str:
    """What the README tells to type."""
    return "\n".join(re.findall(r"(?ms)^```sh\n(.*?)^```", README)).replace("\\\n", " ")


def heredoc(name: str) -> str:
    """The file that the README writes."""
    found = re.search(rf"(?ms)^cat > \S*/{re.escape(name)} <<'END'\n(.*?)^END", blocks())
    assert found
    return found[1]


def arguments() -> list[list[str]]:
    """Of each command of ours in the README, typed or told of."""
    found = [shlex.split(line) for line in re.findall(r"`stream-supervisor ([^`\n]*)`", README)]
    for line in blocks().splitlines():
        words = shlex.split(line, comments=True) if "stream-supervisor" in line else []
        program = next((at for at, word in enumerate(words[:2]) if word.endswith("/bin/stream-supervisor")), None)
        if program is not None:  # first, or after a variable
            found.append(words[program + 1 :])
        elif words[:2] == ["docker", "run"]:
            image_at = len(words) - words[::-1].index("stream-supervisor")
            found.append(words[image_at:] or json.loads(image()["CMD"]))
    return found


def test_each_command_of_the_readme_is_one_of_ours() -> None:
    commands = [parser().parse_args(line).command for line in arguments()]  # raises Problem

    assert {"check", "run", "emulate"} <= set(commands)


def test_the_readme_speaks_of_the_files_that_the_unit_reads() -> None:
    program, *_, config = shlex.split(the("ExecStart"))

    assert config == CONFIG
    for path in (config, f"{Path(config).parent}/deepgram-api-key", program):
        assert path in blocks()
