"""Times, tables and messages, as the commands read and write them."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli import output, times
from sidecar.cli.common import CliError, DurationType
from sidecar.cli.output import Painted
from sidecar.cli.status import size_text
from sidecar.cli.times import InstantType, local_time, span_of, until
from sidecar.shared.api_json import enum_name, instant_of, json_of_message
from sidecar.shared.convert.times import timestamp

NOW_US = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z


@pytest.mark.parametrize(
    ("text", "instant_us"),
    [
        ("now", NOW_US),
        ("-90s", NOW_US - 90_000_000),
        ("-15m", NOW_US - 900_000_000),
        ("+2h", NOW_US + 7_200_000_000),
        ("-1d", NOW_US - 86_400_000_000),
        ("2026-01-31", NOW_US - 43_200_000_000),
        ("2026-01-31T13:00:00+01:00", NOW_US),
    ],
)
def test_an_instant_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, text: str, instant_us: int
) -> None:
    monkeypatch.setattr(times, "wall_us", lambda: NOW_US)

    assert instant_us == InstantType().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("500ms", 0.5), ("1.5s", 1.5), ("2m", 120), ("1h", 3600)]
)
def test_a_duration_on_the_command_line(text: str, seconds: float) -> None:
    assert seconds == DurationType().convert(text, None, None)


@pytest.mark.parametrize(
    ("span_us", "text"),
    [
        (0, "0 ms"),
        (999_999, "999 ms"),
        (1_000_000, "1 s"),
        (61_000_000, "1 min 1 s"),
        (3_600_000_000, "1 h"),
        (93_784_000_000, "1 d 2 h"),
        (400 * 86_400_000_000, "400 d"),
    ],
)
def test_a_span_in_words(span_us: int, text: str) -> None:
    assert text == span_of(span_us)


def test_an_instant_in_words(in_utc: None) -> None:
    assert "in 1 h (2026-01-31 13:00:00 UTC)" == until(NOW_US + 3_600_000_000, NOW_US)
    assert "1 s ago (2026-01-31 11:59:59 UTC)" == until(NOW_US - 1_000_000, NOW_US)


@pytest.mark.parametrize("instant_us", [-62_135_596_800_000_000, 253_402_300_799_000_000])
def test_the_edges_of_the_calendar_can_be_shown(instant_us: int) -> None:
    assert local_time(instant_us)


@pytest.mark.parametrize("instant_us", [0, NOW_US, -1, 1_500_000])
def test_an_instant_survives_the_api(instant_us: int) -> None:
    assert instant_us == instant_of(timestamp(instant_us))


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (1_610_612_736, "1.5 GiB")],
)
def test_a_size_in_words(size_bytes: int, text: str) -> None:
    assert text == size_text(size_bytes)


@pytest.mark.parametrize(
    ("used", "amount", "text", "colour"),
    [
        (0, 0, "0%", "green"),
        (1, 0, "100%", "red"),
        (79, 100, "79%", "green"),
        (80, 100, "80%", "yellow"),
        (250, 100, "250%", "red"),
        (5, None, "-", "bright_black"),
    ],
)
def test_a_share_in_a_pipe(used: int, amount: int | None, text: str, colour: str) -> None:
    assert Painted(text, colour) == output.bar(used, amount)


@pytest.mark.parametrize(
    ("used", "text"),
    [(0, "░░░░░░░░ 0%"), (50, "████░░░░ 50%"), (9000, "████████ 9,000%")],
)
def test_a_share_on_a_terminal(on_terminal: None, used: int, text: str) -> None:
    assert text == output.bar(used, 100).text


def test_data_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name",), [["a\x1b[2Jb\nc"], ["grün"]])

    assert "NAME\na\\x1b[2Jb\\nc\ngrün\n" == capsys.readouterr().out


def test_a_drawn_table_takes_markup_as_text(
    on_terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_table(("name", "n"), [["[red]a[/red]", 1234], ["b", None]])

    shown = capsys.readouterr().out
    assert "[red]a[/red]" in shown
    assert "1,234" in shown


def test_a_narrow_terminal_keeps_numbers_whole(
    on_terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    output.print_table(("name", "n"), [["some words that need a lot of room here", 2**63 - 1]])

    shown = capsys.readouterr().out
    assert "9,223,372,036,854,775,807" in shown
    assert max(map(len, shown.splitlines())) <= 40


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("columns", [30, 40, 50, 60, 80])
def test_a_table_fits_and_folds_between_words_where_that_is_possible(
    on_terminal: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
    tight: bool,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    titles = ("what", "name", "amount", "text", "used", "resets in")
    cells = ("two words", "per_user", 1_000_000, "some more words", 17, "12 d 4 h")

    output.print_table(titles, [cells], tight=tight)

    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    whole = {"words", "per_user", "1,000,000", "17", "resets"} <= set(shown.split())
    assert (columns >= 50) == whole


def test_a_tight_table_has_no_empty_lines_around(
    on_terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_table(["name"], [["a"]], tight=True)

    assert ["name", "─" * 4, "a"] == [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_long_facts_and_sentences_are_folded_on_a_terminal(
    on_terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")

    output.print_facts([("name", "one two three four five six"), ("n", 7)])
    output.print_text("one two three four five six seven")

    expected = """\
name  one two three four five
      six
n     7
one two three four five six
seven
"""
    assert expected == capsys.readouterr().out


def test_painted_numbers_are_aligned_as_others(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("overage",), [[Painted("7", "red")], [Painted("1234", "red")]])

    assert "OVERAGE\n      7\n   1234\n" == capsys.readouterr().out


def test_json_of_a_message_has_every_key_and_exact_integers() -> None:
    decision = pb.Decision(
        granted=2**63 - 1,
        reason=pb.REASON_LIMIT_EXCEEDED,
        retry_after=Duration(seconds=1, nanos=500_000_000),
        shadow_denials=["a"],
    )
    decision.binding_limit.dimensions.update({"b": "2", "a": "1"})
    decision.binding_limit.resets_at.CopyFrom(timestamp(NOW_US + 1))

    shown = json_of_message(decision)

    limit = shown.pop("binding_limit")
    assert shown == {
        "allowed": False,
        "reason": "LIMIT_EXCEEDED",
        "granted": 2**63 - 1,
        "retry_after": "1.500s",
        "warnings": [],
        "shadow_denials": ["a"],
        "overage": 0,
        "basis": None,
        "throttled": [],
        "would_deny_reason": None,
        "dimension_problem": "",
        "burned": [],
    }
    assert limit == {
        "limit": "",
        "enforcement": None,
        "amount": None,
        "used": 0,
        "remaining": None,
        "overage": 0,
        "window_start": None,
        "resets_at": "2026-01-31T12:00:00.000001Z",
        "dimensions": {"a": "1", "b": "2"},
        "carried": 0,
        "rate": None,
        "packs_left": 0,
        "rate_share_ppm": 0,
    }


def test_an_enum_value_of_a_newer_server_is_its_number() -> None:
    assert 99 == enum_name(catalog_pb2.Enforcement.DESCRIPTOR, 99)
    assert "PAST_DUE" == enum_name(catalog_pb2.SubscriptionStatus.DESCRIPTOR, 3)


def test_an_error_for_scripts_leaves_out_what_is_empty() -> None:
    error = CliError("broken", details={"line": 3})

    assert {"error": {"message": "broken", "exit_code": 4, "line": 3}} == error.as_dict()
