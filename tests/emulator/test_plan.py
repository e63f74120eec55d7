"""Plans in TOML: every fault can be written down, and a mistake is one line that names the way on."""

import math
import tomllib
from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest

from supervisor.core.problem import Exit, Problem
from supervisor.emulator.faults import (
    FAULTS,
    Close,
    Fault,
    Finishing,
    Garbage,
    Hole,
    NoFinals,
    Opening,
    Refuse,
    Reset,
    ShortTail,
    Slow,
    StopResults,
)
from supervisor.emulator.habits import Habits
from supervisor.emulator.plan import Plan, plan_of, read_plan

NEEDED = {"slow": {"seconds": 1.5}, "hole": {"seconds": 2.0}, "short_tail": {"seconds": 0.5}}


def problem_of(text):
    with pytest.raises(Problem) as raised:
        plan_of(tomllib.loads(text))
    assert raised.value.exit_code == Exit.CONFIG
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_written_down(name):
    given = NEEDED.get(name)
    written = "true" if given is None else f"{{ seconds = {given['seconds']} }}"
    plan = plan_of(tomllib.loads(f"[[connection]]\n{name} = {written}"))

    assert (FAULTS[name](**(given or {})),) == plan.faults(0)


@pytest.mark.parametrize("name", FAULTS)
def test_a_setting_of_another_type_is_one_line_that_names_it(name):
    for each in fields(FAULTS[name]):
        settings = {**NEEDED.get(name, {}), each.name: date(1979, 5, 27)}
        with pytest.raises(Problem, match=each.name):
            plan_of({"connection": [{name: settings}]})


def test_a_plan_is_the_same_from_toml_and_from_code():
    text = """
    then = "repeat"
    each_call = true
    [habits]
    concurrency = 5
    latency = [0.1, 0.2]
    wobble = true
    [[connection]]
    refuse = { status = 429, retry_after = 3, as_date = true, headers = { Server = "x" } }
    [[connection]]
    [[connection]]
    close = { audio = 20, code = 1011, reason = "NET-0000" }
    garbage = [{ audio = 1.5, what = "json" }, { time = 3, what = "huge" }]
    no_finals = true
    """
    plan = plan_of(tomllib.loads(text))

    assert Plan(
        [
            [Refuse(status=429, retry_after=3.0, as_date=True, headers={"Server": "x"})],
            [],
            [
                Close(audio=20.0, code=1011, reason="NET-0000"),
                Garbage(audio=1.5, what="json"),
                Garbage(time=3.0, what="huge"),
                NoFinals(),
            ],
        ],
        then="repeat",
        each_call=True,
        habits=Habits(concurrency=5, latency=(0.1, 0.2), wobble=True),
    ) == plan


@pytest.mark.parametrize(
    "text, said",
    [
        ("[[conection]]", "a plan has no `conection`: did you mean `connection`?"),
        ("[[connection]]\nrefused = true", "connection 1 has no `refused`: did you mean `refuse`?"),
        ("[[connection]]\n[[connection]]\nstop = true", "connection 2 has no `stop`"),
        ("[[connection]]\nclose = { adio = 1 }", "`close` of connection 1 has no `adio`: did you mean `audio`?"),
        ("[[connection]]\nclose = { zzzz = 1 }", "there are audio, time, finishing, code"),
        ("[habits]\nidel = 3", "`habits` has no `idel`: did you mean `idle`?"),
        ("connection = 3", "`connection` is no list of tables: write [[connection]]"),
        ("[connection]\nreset = true", "`connection` is no list of tables: write [[connection]]"),
        ('then = "again"', '`then` is "well" or "repeat"'),
        ("then = []", '`then` is "well" or "repeat"'),
        ("each_call = 1", "`each_call` true or false"),
        ("habits = 3", "`habits` is no table"),
        ("[[connection]]\nreset = 3", "`reset` of connection 1 is no table: write { key = value }, or true"),
        ("[[connection]]\nreset = false", "`reset` of connection 1 is no table"),
        ("[[connection]]\nhole = true", "seconds"),
        ("[[connection]]\nrefuse = { status = 101 }", "`status` is one from 100 to 599 other than 101"),
        ("[[connection]]\nrefuse = { status = 99 }", "`status` is one from 100 to 599 other than 101"),
        ("[[connection]]\nclose = { code = 70000 }", "`code` is from 0 to 65535"),
        ("[[connection]]\nclose = { reason = '%s' }" % ("x" * 124), "`reason` at most 123 bytes"),
        ("[[connection]]\nreset = { audio = 1, time = 2 }", "only one of `audio`, `time` and `finishing` can be given"),
        ("[[connection]]\nreset = { time = 1, finishing = true }", "only one of `audio`, `time` and `finishing`"),
        ("[[connection]]\ngarbage = { what = 'else' }", "what"),
        ("[[connection]]\nrefuse = true\nsilent = true", "a connection has at most one fault of its opening"),
        ("[[connection]]\nrefuse = [{}, {}]", "a connection has at most one fault of its opening"),
        ("[[connection]]\nslow = { seconds = -1 }", "`seconds` cannot be negative"),
        ("[[connection]]\nslow = { seconds = nan }", "`seconds` cannot be"),
        ("[[connection]]\nslow = { seconds = inf }", "`seconds` cannot be"),
        ("[[connection]]\nhole = { seconds = -1.5 }", "`seconds` cannot be negative"),
        ("[[connection]]\nreset = { audio = -1 }", "`audio` cannot be negative"),
        ("[[connection]]\nreset = { time = nan }", "`time` cannot be"),
        ("[[connection]]\nflood = { messages = -1 }", "`messages` cannot be negative"),
        ("[[connection]]\nclose = { pings = -1 }", "`pings` cannot be negative"),
        ("[[connection]]\nrefuse = { retry_after = 1e15, as_date = true }", "`retry_after` cannot be"),
        ("[habits]\ninterim = 0", "`interim` must be more than 0"),
        ("[habits]\nrate = 0.0", "`rate` must be more than 0"),
        ("[habits]\ninterim = nan", "`interim`"),
        ("[habits]\nidle = -1", "`idle` cannot be negative"),
        ("[habits]\nconcurrency = -1", "`concurrency` cannot be negative"),
        ("[habits]\nlatency = [-1, 2]", "`latency` cannot be negative"),
        ("[habits]\nlatency = [2, 1]", "`latency` is a lower and an upper bound"),
        ("[habits]\nfinals = [0, 0]", "`finals` must be more than 0"),
        ("[habits]\nlatency = 1", "latency"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_says_where_and_what(text, said):
    assert said in problem_of(text)


def test_a_fault_made_in_code_is_held_to_the_same():
    for wrong in (lambda: Slow(seconds=-1), lambda: Hole(seconds=math.nan), lambda: ShortTail(seconds=-0.1),
                  lambda: Reset(audio=-1.0), lambda: Habits(interim=0.0), lambda: Habits(rate=-1)):  # fmt: skip
        with pytest.raises(ValueError, match="`"):
            wrong()

    assert math.isinf(StopResults().seconds)


def test_a_file_that_is_missing_or_wrong_is_one_line(tmp_path):
    wrong = tmp_path / "wrong.toml"
    for content, exit_code, said in (
        (None, Exit.NO_INPUT, "cannot be read"),
        (b"[[", Exit.CONFIG, "is no TOML"),
        (b"\xff\xfe", Exit.CONFIG, "is no TOML"),
        (b"[[connection]]\nrest = true", Exit.CONFIG, "did you mean `reset`?"),
    ):
        if content is not None:
            wrong.write_bytes(content)
        with pytest.raises(Problem) as raised:
            read_plan(str(wrong))
        assert exit_code == raised.value.exit_code
        assert said in str(raised.value)
        assert str(wrong) in str(raised.value)
        assert "\n" not in str(raised.value)

    with pytest.raises(Problem, match="cannot be read"):
        read_plan(str(tmp_path))


def test_an_empty_file_is_a_server_that_behaves(tmp_path):
    (tmp_path / "plan.toml").write_text("")

    assert Plan([]) == read_plan(str(tmp_path / "plan.toml"))


def test_each_connection_has_its_faults_and_the_rest_has_none_or_all_again():
    faults = [Reset(), None, [Reset(), NoFinals()]]

    assert [len(Plan(faults).faults(number)) for number in range(5)] == [1, 0, 2, 0, 0]
    assert [len(Plan(faults, then="repeat").faults(number)) for number in range(5)] == [1, 0, 2, 1, 0]
    assert Plan(then="repeat").faults(3) == ()


def test_every_fault_has_a_docstring_that_says_what_goes_wrong():
    assert all(kind.__doc__ and "(" not in kind.__doc__.splitlines()[0] for kind in FAULTS.values())
    assert all(issubclass(kind, Fault) for kind in (*FAULTS.values(), Opening, Finishing))


EXAMPLES = sorted(Path(__file__).parents[2].glob("config/faults/*.toml"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_plan_with_a_first_line_that_says_what_it_is(path):
    plan = read_plan(str(path))

    assert plan.connections
    assert path.read_text().startswith("# ")
