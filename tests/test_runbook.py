"""The alerts and the runbook against the code: what they name is what there is, and nothing that asks for a person is missing."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from supervisor.cli import parser
from supervisor.core.problem import Exit
from supervisor.core.settings import BufferSettings, RetrySettings
from supervisor.metrics import REASONS, Metrics
from supervisor.sinks.outbox import BEHIND, ROOM
from tests.test_metrics import Moment

ROOT = Path(__file__).parent.parent
RUNBOOK = (ROOT / "deploy/RUNBOOK.md").read_text()
ALERTS = (ROOT / "deploy/prometheus/alerts.yml").read_text()
PARTS = ("Symptom", "Metric", "Log", "Do")
OURS = r"\b(?:stream_supervisor|process)_\w+"
NOT_A_SERVICE = ("demo", "emulator")  # whose logs are for whoever tries it


def alerts():
    """Each alert's fields, by its name."""
    blocks = ALERTS.split("      - alert: ")[1:]
    return {block.split("\n")[0]: dict(re.findall(r"^ {8,10}(\w+): (.+)$", block, re.MULTILINE)) for block in blocks}


def sections():
    """Each section's text, by its heading."""
    heads = re.split(r"^## (.+)\n", RUNBOOK, flags=re.MULTILINE)[1:]
    return dict(zip(heads[::2], heads[1::2], strict=True))


def anchor(heading):
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def samples():
    metrics = Metrics()
    metrics.known("pbx")
    metrics.view = Moment()
    families = text_string_to_metric_families(metrics.render()[1].decode())
    return [(sample.name, sample.labels) for family in families for sample in family.samples]


SAMPLES = samples()
NAMES = {name for name, _ in SAMPLES} | {re.sub(r"_(bucket|count|sum)$", "", name) for name, _ in SAMPLES}
OF_ALERTS = [heading for heading in sections() if heading != "Other lines in the log"]


def logged():
    """The events that the service logs as a warning or an error, and those that its fleet gives notice of."""
    found = set()
    for path in (ROOT / "supervisor").rglob("*.py"):
        if path.relative_to(ROOT / "supervisor").parts[0] in NOT_A_SERVICE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                loud = node.func.attr in ("warning", "error", "exception", "critical") and "log" in ast.unparse(node.func)
                notice = node.func.attr == "_say" and re.search("'(warning|error)'", ast.unparse(node))
                found |= words(node.args[0]) if loud or notice else set()
    return found


def words(node):
    strings = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return {each for each in strings if re.fullmatch(r"[a-z]+(_[a-z]+)*", each)}


SOURCE = "\n".join(path.read_text() for path in (ROOT / "supervisor").rglob("*.py"))


def test_there_is_an_alert_for_all_that_was_promised():
    promised = {"AudioLost", "Behind", "BufferFilling", "KeyRefused", "NoResults", "Restarted", "ReloadFailed", "BreakerOpen", "SinkBacklog"}
    assert {f"StreamSupervisor{name}" for name in promised} <= alerts().keys()


@pytest.mark.parametrize("name", alerts())
def test_each_alert_asks_for_what_is_measured(name):
    expression = alerts()[name]["expr"]
    metrics = re.findall(OURS, expression)

    assert metrics or "up{" in expression
    assert set(metrics) <= NAMES
    for metric, selector in re.findall(rf"({OURS}){{(.*?)}}", expression):
        for label, pattern in re.findall(r'(\w+)=~?"(.*?)"', selector):
            values = {labels[label] for sample, labels in SAMPLES if sample == metric and label in labels}
            assert label == "job" or all(each in values for each in pattern.split("|"))


@pytest.mark.parametrize("name", alerts())
def test_each_alert_has_its_section(name):
    fields = alerts()[name]
    page, _, at = fields["runbook_url"].partition("#")

    assert fields["summary"]
    assert re.search(r"severity: (critical|warning)", fields["labels"])
    assert (ROOT / "deploy" / page).is_file()
    assert at in {anchor(heading) for heading in sections()}


def test_each_section_has_its_alert():
    linked = {fields["runbook_url"].partition("#")[2] for fields in alerts().values()}
    assert {anchor(heading) for heading in OF_ALERTS} == linked


@pytest.mark.parametrize("heading", OF_ALERTS)
def test_each_section_leads_from_the_symptom_to_what_to_do(heading):
    parts = re.split(r"^- \*\*(\w+)\*\*: ", sections()[heading], flags=re.MULTILINE)[1:]
    told = dict(zip(parts[::2], parts[1::2], strict=True))

    assert tuple(told) == PARTS
    metrics = re.findall(r"`([a-z_]+)(?:\{[^`]*\})?`", told["Metric"])
    assert metrics
    assert {name if name.startswith("process_") or name == "up" else f"stream_supervisor_{name}" for name in metrics} <= NAMES | {"up"}
    events = {name for name in re.findall(r"`([a-z]+_[a-z_]+|ready|draining|stopping)`", told["Log"]) if name not in ("call_id", "retry_in")}
    assert events
    assert {event for event in events if f'"{event}"' not in SOURCE} == set()


def test_every_warning_there_is_can_be_looked_up():
    missing = {event for event in logged() if f"`{event}`" not in RUNBOOK}

    assert len(logged()) > 30
    assert missing == set()


def test_other_lines_are_lines_that_there_are():
    rows = [line.split("|")[1] for line in sections()["Other lines in the log"].splitlines() if line.startswith("| `")]
    events = [event for row in rows for event in re.findall(r"`(\w+)`", row)]

    assert [event for event in events if f'"{event}"' not in SOURCE and f'"event":"{event}"' not in SOURCE] == []


def test_every_reason_of_a_loss_is_explained():
    rows = re.findall(r"^\| `(\w+)` ", sections()["Audio lost"], re.MULTILINE)
    assert sorted(rows) == sorted(REASONS)


def test_the_commands_it_names_exist():
    commands = set(re.findall(r"^    (\w+)(?: |$)", parser().format_help(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)stream-supervisor (\w+)", RUNBOOK, re.MULTILINE))

    assert {"health", "calls", "check"} <= named
    assert named <= commands


def test_its_links_lead_somewhere():
    for page, at in re.findall(r"\]\(([\w./]*)#?([\w-]*)\)", RUNBOOK):
        text = (ROOT / "deploy" / page).read_text() if page else RUNBOOK
        assert not at or at in {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def test_its_numbers_are_the_defaults():
    assert f"its last {BufferSettings().seconds:g} s" in RUNBOOK
    assert f"no progress in {RetrySettings().give_up_after:g} s" in RUNBOOK
    assert f"of {ROOM}" in RUNBOOK
    assert f"has room for {ROOM}; from {ROOM * BEHIND:.0f} on" in ALERTS
    assert f"Exit code {Exit.BUG:d}" in RUNBOOK


def test_each_alert_fires_when_it_should():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (of Prometheus) is not installed")
    done = subprocess.run(
        [promtool, "test", "rules", "alerts_test.yml"], cwd=ROOT / "deploy/prometheus", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_proven():
    proven = set(re.findall(r"^      - alertname: (\w+)$", (ROOT / "deploy/prometheus/alerts_test.yml").read_text(), re.MULTILINE))
    assert proven == alerts().keys()
