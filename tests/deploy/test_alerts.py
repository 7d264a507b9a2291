"""The example alerts and questions for Prometheus: of metrics that there are, and readable."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from tests.deploy.manifests import REPOSITORY
from tests.support.exposition import promtool_on_rules

FOLDER: Final = REPOSITORY / "deploy/metrics"
README: Final = (FOLDER / "README.md").read_text()
SERIES: Final = re.compile(r"\btallyd_\w+")


def documented() -> dict[str, set[str]]:
    """Labels of each documented series."""
    rows = re.findall(r"^\| `(tallyd_\w+)` \| (\w+) \| (.*?) \|", README, re.MULTILINE)
    return {
        f"{name}_bucket" if kind == "histogram" else name: set(re.findall(r"`(\w+)`", labels))
        for name, kind, labels in rows
    }


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def questions() -> list[str]:
    section = README.split("## Questions and their answers")[1].split("\n## ")[0]
    return re.findall(r"^\| .+\? \| `(.+)` \|$", section, re.MULTILINE)


def test_alerts_and_questions_are_about_metrics_that_there_are() -> None:
    known = documented()
    expressions = [*(rule["expr"] for rule in rules()), *questions()]
    assert len(expressions) > 20
    for expression in expressions:
        series = set(SERIES.findall(expression))
        assert series, expression
        assert series <= known.keys(), expression


def test_alerts_select_by_labels_that_there_are() -> None:
    known = documented()
    for expression in [*(rule["expr"] for rule in rules()), *questions()]:
        for name, selected in re.findall(r"(tallyd_\w+)\{(.*?)\}", expression):
            assert set(re.findall(r"(\w+)=", selected)) <= known[name], expression


def test_each_alert_has_a_name_of_its_own_a_severity_and_a_summary() -> None:
    found = rules()
    assert len(found) == len({rule["alert"] for rule in found})
    assert [] == [rule["alert"] for rule in found if not rule["labels"].get("severity")]
    assert [] == [rule["alert"] for rule in found if not rule["annotations"].get("summary")]


def test_promtool_finds_nothing_where_it_is_there() -> None:
    assert [] == promtool_on_rules(str(FOLDER / "alerts.yaml"))
