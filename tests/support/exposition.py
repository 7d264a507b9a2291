"""What daemons expose for Prometheus: scraped, parsed, and held to its naming conventions.

The rules are those of `promtool check metrics`; where promtool is on the PATH, it is asked, too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.bounds import HANG_SECONDS_MAX

PROMTOOL: Final = shutil.which("promtool")

_BASE_UNITS: Final = frozenset({"bytes", "joules", "meters", "ratio", "seconds", "volts"})
_OTHER_UNITS: Final = frozenset(
    {"bits", "days", "hours", "minutes", "percent", "percents", "weeks", "years"}
)
_PREFIXES: Final = (
    "nano",
    "micro",
    "milli",
    "kilo",
    "mega",
    "giga",
    "tera",
    "kibi",
    "mebi",
    "gibi",
)
_ABBREVIATIONS: Final = frozenset(
    {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}
)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED: Final = ("_count", "_sum", "_bucket")


def families(text: str) -> dict[str, Metric]:
    """Metrics by the name that they have on the page: counters with `_total`."""
    found = [*text_string_to_metric_families(text)]
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in found
    }


def label_names(family: Metric) -> set[str]:
    """Names of the labels that its samples have, but for a histogram's own."""
    return {name for sample in family.samples for name in sample.labels} - {"le"}


def problems(text: str) -> list[str]:
    """What in an exposition is against the conventions."""
    found = [
        f"{name}: {problem}"
        for name, family in families(text).items()
        for problem in _problems_of(name, family)
    ]
    seen = [line for line in text.splitlines() if line.startswith("# TYPE ")]
    if len(seen) != len(set(seen)):
        found.append("a metric comes twice")
    return [*found, *_told_by_promtool("metrics", text=text)]


def promtool_on_rules(path: str) -> list[str]:
    """What promtool says against a file of rules; nothing where it is not there."""
    return _told_by_promtool("rules", path)


def _told_by_promtool(what: str, *arguments: str, text: str | None = None) -> list[str]:
    if PROMTOOL is None:
        return []
    told = subprocess.run(
        [PROMTOOL, "check", what, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS_MAX,
        check=False,
    )
    return [told.stdout + told.stderr] if told.returncode else []


def _problems_of(name: str, family: Metric) -> Iterator[str]:
    words = name.split("_")
    labels = [tuple(sorted(sample.labels.items())) for sample in family.samples]
    is_histogram = family.type == "histogram"
    has_bounds = any("le" in sample.labels for sample in family.samples)
    yield from (
        problem
        for problem, is_there in (
            ("no help", not family.documentation),
            ("no type", family.type == "unknown"),
            ("not in lower case with underscores", not _NAME.fullmatch(name)),
            ("_total, and no counter", family.type != "counter" and words[-1] == "total"),
            ("has its type in its name", family.type in words),
            ("abbreviates its unit", words[-1] in _ABBREVIATIONS),
            ("not in a base unit", any(map(_is_other_unit, words))),
            ("named as a histogram's series", not is_histogram and name.endswith(_RESERVED)),
            ("has a histogram's label", not is_histogram and has_bounds),
            ("the same labels come twice", not is_histogram and len(labels) != len(set(labels))),
        )
        if is_there
    )


def _is_other_unit(word: str) -> bool:
    bare = next((word.removeprefix(start) for start in _PREFIXES if word.startswith(start)), "")
    return word in _OTHER_UNITS or bare in _BASE_UNITS | _OTHER_UNITS
