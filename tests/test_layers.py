"""Imports point down: a module knows only what lies below it, and each foreign thing is known in one place.

Only the source is read, late imports included, so that a module is seen which the tests never load.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "supervisor"
PATHS = sorted(PACKAGE.rglob("*.py"))

# What would make a decision depend on more than what it is given.
IMPURE = {"time", "socket", "ssl", "threading", "asyncio", "logging", "os", "select", "signal", "subprocess", "multiprocessing"}
PURE = (sys.stdlib_module_names - IMPURE) | {"msgspec", "tenacity", "supervisor"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in PATHS}


def imported(path: Path) -> set[str]:
    """The full name of everything a module imports; `from a import b` names `a.b` where that is a module of ours."""
    package = name_of(path).split(".") if path.stem == "__init__" else name_of(path).split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                found.add(inner if inner in MODULES else module)
    return found


IMPORTS = {name: imported(path) for name, path in MODULES.items()}


@cache
def known_to(name: str) -> frozenset[str]:
    """The modules of ours that a module knows, itself or through others."""
    direct = {each for each in IMPORTS[name] if each in MODULES and each != name}
    return frozenset(direct.union(*(known_to(each) for each in direct)))


def within(name: str, parts: str) -> bool:
    return any(f"{name}.".startswith(f"supervisor.{part}.") for part in parts.split())


def test_no_two_modules_know_each_other() -> None:
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for each in sorted(IMPORTS[name] & MODULES.keys() - {name}):
                walk(each, (*path, name))
            done.add(name)

    for name in MODULES:
        walk(name, ())


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, "core")])
def test_the_core_decides_and_does_nothing(name: str) -> None:
    """No clock, no socket, no log, no file: what it needs is an argument."""
    for each in IMPORTS[name]:
        assert each.partition(".")[0] in PURE, f"{name} may not import {each}"
        assert each not in MODULES or within(each, "core"), f"{name} may not know {each}"
    if any(each.partition(".")[0] == "tenacity" for each in IMPORTS[name]):
        assert name == "supervisor.core.retry"


SHELL = "connection session call running daemon hosting commands cli"


@pytest.mark.parametrize(
    "who, may_not_know",
    [
        ("events grid wire dial tls", f"sources sinks emulator demo {SHELL}"),
        ("connection", "sources sinks session call running emulator demo commands cli"),
        ("sources", f"sinks emulator demo {SHELL}"),
        ("sinks", f"sources emulator demo {SHELL}"),
        ("session", "sources sinks call running emulator demo commands cli"),
        ("call", "sinks running emulator demo commands cli"),
        ("intakes", "sinks session call running daemon hosting emulator demo commands cli"),
        ("admin", "sources sinks session call running daemon hosting emulator demo commands cli"),
        ("daemon", "sinks.files sinks.stdout admin hosting emulator demo commands cli"),
        ("running", "emulator demo commands cli"),
        ("config", "emulator demo session call running commands cli"),
        # It must not agree with the client's mistakes.
        ("emulator", f"core.messages core.hearing core.dialect sources sinks demo {SHELL}"),
    ],
)
def test_nobody_knows_what_lies_above_or_beside(who: str, may_not_know: str) -> None:
    below = [name for name in MODULES if within(name, who)]

    assert below
    for name in below:
        for each in sorted(known_to(name)):
            assert not within(each, may_not_know), f"{name} may not know {each}"


def test_nothing_imports_a_command_but_the_command_line() -> None:
    """It does so by name, when the command is asked for."""
    for name, found in IMPORTS.items():
        if not within(name, "commands cli"):
            assert [each for each in found if within(each, "commands")] == [], name


@pytest.mark.parametrize(
    "foreign, where",
    [
        ("trio_websocket", {"supervisor.connection"}),
        ("soundfile", {"supervisor.sources.compressed"}),
        ("tenacity", {"supervisor.core.retry"}),
        ("httpx", {"supervisor.sinks.posting"}),
        ("hypercorn", {"supervisor.probes"}),
        ("prometheus_client", {"supervisor.metrics"}),
    ],
)
def test_a_foreign_library_is_known_in_one_place(foreign: str, where: set[str]) -> None:
    """Not counting the demo, which reads the file that it ships, and on which nothing rests."""
    knows = {name for name, found in IMPORTS.items() if any(each.partition(".")[0] == foreign for each in found)}

    assert {name for name in knows if not within(name, "demo")} == where


def test_the_readers_of_imports_see_every_form() -> None:
    """A rule that reads nothing would hold whatever is written."""
    assert {"supervisor.core.closure", "supervisor.core.options", "difflib"} <= IMPORTS["supervisor.core.catalogue.lookup"]
    assert "supervisor.core.messages" in known_to("supervisor.session")
    assert "supervisor.cli" in known_to("supervisor.__main__")  # a late import
