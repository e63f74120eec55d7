"""Fault plans: what goes wrong with each connection, the same from a TOML file and from a test.

A plan is a list of connections in the order in which they are dialled; each is the faults it suffers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import msgspec

from ..core.problem import Exit, Problem
from .faults import FAULTS, Fault, Opening
from .habits import Habits

Built = TypeVar("Built")


@dataclass(frozen=True)
class Plan:
    """What goes wrong, connection by connection.

    >>> from supervisor.emulator.faults import Hole, Refuse, Reset
    >>> plan = Plan([Refuse(status=503), None, [Hole(audio=3.0, seconds=2.0), Reset(audio=9.0)]])
    >>> [len(plan.faults(number)) for number in (0, 1, 2, 3)]
    [1, 0, 2, 0]
    """

    connections: Sequence[Fault | Sequence[Fault] | None] = ()
    then: Literal["well", "repeat"] = "well"  # after the list
    each_call: bool = False  # every call goes through the list by itself
    habits: Habits = field(default_factory=Habits)

    def __post_init__(self) -> None:
        for number in range(len(self.connections)):
            if sum(isinstance(fault, Opening) for fault in self.faults(number)) > 1:
                raise ValueError("a connection has at most one fault of its opening")

    def faults(self, number: int) -> tuple[Fault, ...]:
        """The faults of a connection, counted from 0."""
        if number >= len(self.connections):
            if self.then == "well" or not self.connections:
                return ()
            number %= len(self.connections)
        given = self.connections[number]
        return () if given is None else (given,) if isinstance(given, Fault) else tuple(given)


def read_plan(path: str) -> Plan:
    """The plan in a TOML file; raises Problem."""
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Problem(f"{path} cannot be read", error.strerror or str(error), Exit.NO_INPUT) from None
    except ValueError as error:
        raise Problem(f"{path} is no TOML", str(error), Exit.CONFIG) from None
    try:
        return plan_of(data)
    except Problem as problem:
        raise Problem(f"{path}: {problem.cause}", problem.hint, problem.exit_code) from None


def plan_of(data: Mapping[str, Any]) -> Plan:
    """The plan that a table holds; raises Problem."""
    _check_names(data, ("connection", "then", "each_call", "habits"), "a plan")
    tables = data.get("connection", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise Problem("`connection` is no list of tables", "write [[connection]]", Exit.CONFIG)
    then, each_call = data.get("then", "well"), data.get("each_call", False)
    if then not in ("well", "repeat") or not isinstance(each_call, bool):
        raise Problem('`then` is "well" or "repeat", and `each_call` true or false', exit_code=Exit.CONFIG)
    connections = [list(_faults_of(table, f"connection {number}")) for number, table in enumerate(tables, 1)]
    habits = _built(Habits, data.get("habits", {}), "`habits`")
    try:
        return Plan(connections, then=then, each_call=each_call, habits=habits)
    except ValueError as error:
        raise Problem(str(error), exit_code=Exit.CONFIG) from None


def _faults_of(table: Mapping[str, Any], where: str) -> Iterable[Fault]:
    _check_names(table, FAULTS, where)
    for name, given in table.items():
        for settings in given if isinstance(given, list) else [given]:
            yield _built(FAULTS[name], {} if settings is True else settings, f"`{name}` of {where}")


def _built(kind: type[Built], settings: Any, where: str) -> Built:
    if not isinstance(settings, Mapping):
        raise Problem(f"{where} is no table", "write { key = value }, or true where nothing is to be set", Exit.CONFIG)
    _check_names(settings, [each.name for each in fields(cast("Any", kind))], where)
    try:
        return msgspec.convert(settings, kind)
    except msgspec.ValidationError as error:
        raise Problem(where, str(error), Exit.CONFIG) from None


def _check_names(given: Iterable[str], known: Iterable[str], where: str) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, 1, 0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(names)}"
            raise Problem(f"{where} has no `{name}`", hint, Exit.CONFIG)
