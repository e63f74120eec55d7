"""From a TOML file to a Config, or to everything that is wrong with it."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from supervisor.core.plain import plain
from supervisor.core.problem import Exit, Problem
from supervisor.core.settings import BufferSettings, FleetSettings, RetrySettings, SessionSettings, Settings

from .checking import check
from .model import (
    AdminConfig,
    CallConfig,
    Config,
    DeepgramConfig,
    IntakeConfig,
    LimitsConfig,
    MetricsConfig,
    SinkConfig,
)  # fmt: skip
from .numbers import size
from .table import Faults, Reader, WrongConfig, found_as, nearest, read

LARGEST_FILE = 1024 * 1024  # bytes

SINGLE: Mapping[str, type] = {
    "deepgram": DeepgramConfig,
    "limits": LimitsConfig,
    "buffer": BufferSettings,
    "session": SessionSettings,
    "retry": RetrySettings,
    "fleet": FleetSettings,
    "admin": AdminConfig,
    "metrics": MetricsConfig,
}
REPEATED: Mapping[str, type] = {"call": CallConfig, "intake": IntakeConfig, "sink": SinkConfig}
READERS: Mapping[str, Reader] = {"total": size}


def load(path: str | Path, environ: Mapping[str, str]) -> Config:
    """The config in the file. Raises WrongConfig (a Problem, exit 78) with a line for each fault. The key is not read."""
    faults = Faults(plain(str(path)))
    document = _document(Path(path), faults.file)
    tables = _tables(document, faults)
    config = _config(document, tables, environ)
    warnings = check(document, tables, config, environ, faults)
    if faults.problems:
        raise WrongConfig(faults.problems)
    return dataclasses.replace(config, warnings=warnings)


def _document(path: Path, name: str) -> dict[str, Any]:
    def wrong(cause: str, hint: str) -> NoReturn:
        raise WrongConfig([Problem(f"{name} {cause}", hint, Exit.CONFIG)])

    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is no path"
        wrong(f"cannot be read: {reason}", "check the path and who may read it")
    if len(raw) > LARGEST_FILE:
        wrong("is larger than any config", "check the path")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        wrong(f"is not UTF-8 in line {line}", "save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        wrong(f"is not TOML: {plain(str(error))}", "texts are in quotes, tables begin with [name]")
    except ValueError:  # Python reads no number of thousands of digits
        wrong("has a number in it that is too long to be read", "no number here has more than 19 digits")
    except RecursionError:
        wrong("is nested too deeply", "no table goes deeper than two levels")


def _tables(document: Mapping[str, Any], faults: Faults) -> dict[str, list[tuple[str, Any]]]:
    """For each kind of table those that could be read, each with what it is called in messages."""
    elsewhere = _homes()
    for key in document:
        if key != "version" and key not in SINGLE and key not in REPEATED:
            hint = nearest(key, ["version", *SINGLE, *REPEATED], elsewhere)
            faults.add(plain(key, 60) or '""', "is not known here", hint)
    tables: dict[str, list[tuple[str, Any]]] = {}
    for key, cls in SINGLE.items():
        found = document.get(key, {})
        if key not in document or _is(dict, key, found, f"it is a table: begin it with [{key}]", faults):
            needs_nothing = key in document or key not in ("admin", "metrics")
            values = read(cls, found, f"[{key}]", faults, readers=READERS, elsewhere=elsewhere) if needs_nothing else None
            tables[key] = [] if values is None else [(f"[{key}]", values)]
    for key, cls in REPEATED.items():
        tables[key] = []
        found = document.get(key, [])
        if not _is(list, key, found, f"there may be several: begin each with [[{key}]]", faults):
            continue
        for number, table in enumerate(found, 1):
            if not _is(dict, key, table, f"begin each with [[{key}]]", faults):
                continue
            name = table.get("name") or table.get("kind")
            at = f'[[{key}]] "{plain(name, 60)}"' if isinstance(name, str) else f"[[{key}]] number {number}"
            values = read(cls, table, at, faults, elsewhere=elsewhere)
            if values is not None:
                tables[key].append((at, values))
    return tables


def _is(kind: type, key: str, found: object, hint: str, faults: Faults) -> bool:
    if not isinstance(found, kind):
        faults.add(key, f"is {found_as(found)}", hint)
    return isinstance(found, kind)


def _homes() -> dict[str, str]:
    """In which table each key lives that lives in one only."""
    homes: dict[str, list[str]] = {}
    for key, cls in SINGLE.items():
        for field in dataclasses.fields(cls):
            homes.setdefault(field.name, []).append(f"[{key}]")
    for key, cls in REPEATED.items():
        for field in dataclasses.fields(cls):
            homes.setdefault(field.name, []).append(f"[[{key}]]")
    return {name: tables[0] for name, tables in homes.items() if len(tables) == 1}


def _config(document: Mapping[str, Any], tables: Mapping[str, list[tuple[str, Any]]], environ: Mapping[str, str]) -> Config:
    def the(key: str, default: Any) -> Any:
        return tables[key][0][1] if tables.get(key) else default

    deepgram: DeepgramConfig = the("deepgram", DeepgramConfig())
    said = document.get("deepgram")
    if not (isinstance(said, dict) and "url" in said) and environ.get("DEEPGRAM_URL"):
        deepgram = dataclasses.replace(deepgram, url=environ["DEEPGRAM_URL"])
    return Config(
        calls=tuple(call for _, call in tables["call"]),
        intakes=tuple(intake for _, intake in tables["intake"]),
        sinks=tuple(sink for _, sink in tables["sink"]) or Config().sinks,
        deepgram=deepgram,
        limits=the("limits", LimitsConfig()),
        settings=Settings(
            session=the("session", SessionSettings()),
            retry=the("retry", RetrySettings()),
            buffer=the("buffer", BufferSettings()),
            fleet=the("fleet", FleetSettings()),
        ),
        admin=the("admin", None),
        metrics=the("metrics", None),
    )
