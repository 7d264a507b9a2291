from typing import Annotated

import pytest
from msgspec import Meta, Struct

from sidecar.domain import bounds
from sidecar.domain.time.units import HOUR_US
from sidecar.shared.config import ControlConfig, SidecarConfig, fields

CONFIGS = (SidecarConfig, ControlConfig)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_default_is_within_its_own_bounds(config: type[Struct]) -> None:
    for field in fields(config):
        assert field.default == field.parse(field.default, from_text=False)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_is_described_in_a_sentence(config: type[Struct]) -> None:
    assert [f.name for f in fields(config) if not f.description.endswith(".")] == []


@pytest.mark.parametrize("config", CONFIGS)
def test_every_number_has_its_unit_in_its_name(config: type[Struct]) -> None:
    units = {
        "bytes",
        "calls",
        "companies",
        "hours",
        "leases",
        "ms",
        "percent",
        "records",
        "seconds",
        "watches",
    }

    numbers = [field for field in fields(config) if field.type is int]

    assert [field.name for field in numbers if not units & set(field.name.split("_"))] == []
    assert [field.name for field in numbers if field.minimum >= field.maximum] == []


@pytest.mark.parametrize("config", CONFIGS)
def test_every_number_takes_its_bounds_and_nothing_beyond(config: type[Struct]) -> None:
    for field in (field for field in fields(config) if field.type is int):
        assert field.parse(str(field.minimum), from_text=True) == field.minimum
        assert field.parse(str(field.maximum), from_text=True) == field.maximum
        for beyond in (field.minimum - 1, field.maximum + 1):
            with pytest.raises(ValueError, match="must be a whole number from"):
                field.parse(beyond, from_text=False)


def test_names_of_flag_and_variable_follow_the_field() -> None:
    first = fields(SidecarConfig)[0]

    assert (first.name, first.flag, first.variable) == ("control", "--control", "TALLYD_CONTROL")


def test_idempotency_is_kept_as_long_as_the_domain_promises() -> None:
    field = next(f for f in fields(SidecarConfig) if f.name == "idempotency_hours")

    assert field.minimum * HOUR_US == bounds.IDEMPOTENCY_US_MIN


class _Unbounded(Struct):
    size_bytes: Annotated[int, Meta(ge=0, description="A size.")] = 0


class _Undescribed(Struct):
    name: str = ""


@pytest.mark.parametrize(
    ("config", "message"),
    [(_Unbounded, "size_bytes lacks its maximum"), (_Undescribed, "name lacks its description")],
)
def test_a_careless_declaration_is_refused(config: type[Struct], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        fields(config)
