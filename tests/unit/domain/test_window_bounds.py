"""What window_at does at the ends of time, with LIFETIME, and with arguments it can't use."""

import shutil
import zoneinfo
from importlib import resources
from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.time.windows import (
    END_INSTANT_US,
    FIRST_INSTANT_US,
    LIFETIME_END_US,
    LIFETIME_START_US,
    UNENDING,
    Alignment,
    Window,
    WindowSpec,
    WindowUnit,
    window_at,
)
from sidecar.domain.time.zones import load_zone

_HOUR_US: Final = 3_600_000_000
_NOON_2025_US: Final = 1_735_732_800_000_000  # 2025-01-01T12:00:00Z


@pytest.mark.parametrize("at_us", [-1, 0, _NOON_2025_US])
@pytest.mark.parametrize("alignment", list(Alignment))
def test_lifetime_is_one_window(at_us: int, alignment: Alignment) -> None:
    window = window_at(WindowSpec(WindowUnit.LIFETIME, alignment=alignment), at_us)
    assert Window(LIFETIME_START_US, LIFETIME_END_US) == window


def test_calendar_ignores_the_anchor() -> None:
    spec = WindowSpec(WindowUnit.MONTH)
    assert window_at(spec, _NOON_2025_US) == window_at(spec, _NOON_2025_US, anchor_us=12_345)


@pytest.mark.parametrize("unit", [unit for unit in WindowUnit if unit not in UNENDING])
def test_windows_are_cut_at_the_ends_of_time(unit: WindowUnit) -> None:
    spec = WindowSpec(unit, 1000, Alignment.ANCHORED)
    first = window_at(spec, FIRST_INSTANT_US, anchor_us=_NOON_2025_US, time_zone="Asia/Tokyo")
    last = window_at(spec, END_INSTANT_US - 1, anchor_us=_NOON_2025_US, time_zone="Asia/Tokyo")
    assert first.start_us == FIRST_INSTANT_US
    assert last.end_us == END_INSTANT_US


@pytest.mark.parametrize("interval", [-1, 0, 1001])
def test_interval_out_of_bounds_is_refused(interval: int) -> None:
    with pytest.raises(ValueError, match=r"^interval: must be 1 to 1000"):
        WindowSpec(WindowUnit.DAY, interval)


@pytest.mark.parametrize("first_weekday", [-1, 7])
def test_first_weekday_out_of_bounds_is_refused(first_weekday: int) -> None:
    with pytest.raises(ValueError, match=r"^first_weekday: must be 0 to 6"):
        WindowSpec(WindowUnit.WEEK, first_weekday=first_weekday)


def test_anchored_without_an_anchor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^anchor_us: an ANCHORED window needs an anchor"):
        window_at(WindowSpec(WindowUnit.DAY, alignment=Alignment.ANCHORED), _NOON_2025_US)


@pytest.mark.parametrize("instant_us", [FIRST_INSTANT_US - 1, END_INSTANT_US, 2**63 - 1, -(2**63)])
def test_instants_outside_the_calendar_are_refused(instant_us: int) -> None:
    with pytest.raises(ValueError, match=r"^at_us: must lie in the years 2 to 9998"):
        window_at(WindowSpec(WindowUnit.MONTH), instant_us)
    with pytest.raises(ValueError, match=r"^anchor_us: must lie in the years 2 to 9998"):
        window_at(
            WindowSpec(WindowUnit.MONTH, alignment=Alignment.ANCHORED),
            _NOON_2025_US,
            anchor_us=instant_us,
        )


@pytest.mark.parametrize(
    "name",
    ["", "Europe", "Europe/Nowhere", "europe/berlin", "../zoneinfo/UTC", "/etc/localtime", "zones"],
)
def test_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^time_zone: unknown time zone "):
        window_at(WindowSpec(WindowUnit.DAY), _NOON_2025_US, time_zone=name)


def test_zone_rules_do_not_depend_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "Europe").mkdir()
    with resources.as_file(resources.files("tzdata") / "zoneinfo/Asia/Tokyo") as tokyo:
        shutil.copy(tokyo, tmp_path / "Europe/Berlin")
    load_zone.cache_clear()
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath([str(tmp_path)])
    try:
        window = window_at(WindowSpec(WindowUnit.DAY), _NOON_2025_US, time_zone="Europe/Berlin")
    finally:
        zoneinfo.reset_tzpath()
    in_berlin = Window(_NOON_2025_US - 13 * _HOUR_US, _NOON_2025_US + 11 * _HOUR_US)
    assert in_berlin == window
