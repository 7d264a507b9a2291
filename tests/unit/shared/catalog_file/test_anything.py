"""Whatever a file holds, it is either taken or refused with problems that name places in it."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.shared.catalog_file.load import CatalogFileError, parse_catalog
from sidecar.shared.catalog_file.problems import PROBLEMS_MAX, FileProblem
from tests.unit.shared.catalog_file.sample import FULL_SAMPLE, SAMPLE

SAMPLES = [SAMPLE.splitlines(), FULL_SAMPLE.splitlines()]
SNIPPETS = st.sampled_from(
    [
        *("", "~", "null", "true", "yes", "-1", "1.5", "1e400", ".nan", "0x1F", "0o8", "9" * 30),
        *("''", '"\\0"', "[", "]", "{", "}", "{}", "[]", "- a", "? a", ": b", "a: b", "\t", "ü"),
        *("&a", "*a", "&a *a", "<<: {}", "!!int", "|", ">", "#", "---", "...", "%YAML 1.1"),
        *("[[[]]]", "{a: [b]}", "{limits: {}}", "{value: {}}", "{value: true, limits: {}}"),
        *("2026-01-31", "12:30:00", "2026-02-05T00:00:00Z", "\u2028"),
        *("1_000", "1" + "_000" * 2_000, "unlimited", "1 day", "250ms", "throttle", "override"),
    ]
)
JOINED = st.lists(SNIPPETS).map(" ".join).map(str.encode)


def _words(line: str) -> list[tuple[int, int]]:
    """Where the keys and values of a line start and end; one that has none starts and ends at 0."""
    return [found.span() for found in re.finditer(r"[^\s{}\[\],]+(?<!:)", line)] or [(0, 0)]


@st.composite
def broken_samples(draw: st.DrawFn) -> bytes:
    """A sample, with values and lines replaced, moved or removed here and there."""
    sample = draw(st.sampled_from(SAMPLES))
    lines = list(sample)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        key, colon, _ = lines[at].partition(":")
        how = draw(st.integers(0, 5))
        if how == 0:
            lines[at] = f"{key}{colon} {draw(SNIPPETS)}"
        elif how == 1:
            indent = key[: len(key) - len(key.lstrip())]
            lines[at] = f"{indent}{draw(SNIPPETS)}{colon}{lines[at].partition(':')[2]}"
        elif how == 2:
            lines.insert(at, draw(st.sampled_from(sample)))
        elif how == 3:
            lines[at] = " " * draw(st.integers(0, 8)) + lines[at].lstrip()
        elif how == 4:
            start, end = draw(st.sampled_from(_words(lines[at])))
            lines[at] = lines[at][:start] + draw(SNIPPETS) + lines[at][end:]
        elif len(lines) > 1:
            del lines[at]
    return "\n".join(lines).encode()


def look_at(data: bytes) -> None:
    problems: tuple[FileProblem, ...] = ()
    try:
        parse_catalog(data, "file")
    except CatalogFileError as error:
        problems = error.problems
        assert problems, "an error without a reason"
    lines = len(data.decode(errors="replace").splitlines()) + 1
    for at, _, message in problems:
        assert 1 <= at.line <= lines
        assert at.column >= 1
        assert message
    assert len(problems) <= PROBLEMS_MAX


@settings(max_examples=300, deadline=None)
@given(broken_samples())
def test_a_broken_sample_is_taken_or_refused(data: bytes) -> None:
    look_at(data)


@settings(max_examples=200, deadline=None)
@given(st.binary() | st.text().map(str.encode) | JOINED)
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    look_at(data)
