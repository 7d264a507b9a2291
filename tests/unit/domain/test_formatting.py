"""Values as short texts for people."""

from __future__ import annotations

import pytest

from sidecar.domain.catalog.model import Rollover
from sidecar.domain.company.model import AddOnSubscription
from sidecar.domain.formatting import add_ons_text, duration_text, instant_text, rollover_text


@pytest.mark.parametrize(
    ("length_us", "text"),
    [
        (1, "1us"),
        (1_500, "1500us"),
        (250_000, "250ms"),
        (1_000_000, "1s"),
        (90_000_000, "90s"),
        (120_000_000, "2m"),
        (3_600_000_000, "1h"),
        (90_000_000_000, "25h"),
        (30 * 86_400_000_000, "30d"),
    ],
)
def test_a_length_of_time_is_written_in_the_largest_unit_without_a_rest(
    length_us: int, text: str
) -> None:
    assert text == duration_text(length_us)


@pytest.mark.parametrize(
    ("rollover", "text"),
    [
        (Rollover(), "for 1 window"),
        (Rollover(2, amount_max=0), "for 2 windows, at most 0"),
        (Rollover(2, percent_max=50), "for 2 windows, at most 50%"),
        (Rollover(2, 500, 50), "for 2 windows, at most 500 and 50%"),
    ],
)
def test_a_rollover_names_its_bounds(rollover: Rollover, text: str) -> None:
    assert text == rollover_text(rollover)


def test_an_instant_has_the_digits_it_needs() -> None:
    assert "1970-01-01T00:00:00Z" == instant_text(0)
    assert "1969-12-31T23:59:59.999999Z" == instant_text(-1)


def test_add_ons_have_their_quantity() -> None:
    assert "none" == add_ons_text(())
    assert "extra x 1, seats x 5" == add_ons_text(
        (AddOnSubscription("extra"), AddOnSubscription("seats", 5))
    )
