"""What an override grants for a time does not roll over; what has no end does.

A limit of 100 a day rolls over for a day. One unit is used.
"""

from __future__ import annotations

import msgspec
import pytest

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import EntitlementGrant, LimitChange
from sidecar.domain.company.model import Override
from sidecar.domain.time.units import HOUR_US
from tests.support.packs import begun, having, limit_usage
from tests.support.rolling import TOMORROW_US

LATER_US = TOMORROW_US + HOUR_US


@pytest.mark.parametrize(
    ("amount", "adds", "until_us", "carried"),
    [
        pytest.param(1_000, True, LATER_US, 100, id="added for a time"),
        pytest.param(1_000, True, TOMORROW_US, 100, id="until the window's end"),
        pytest.param(1_000, True, TOMORROW_US - 1, 99, id="until before it"),
        pytest.param(500, False, LATER_US, 100, id="set for a time"),
        pytest.param(40, False, LATER_US, 39, id="lowered for a time"),
        pytest.param(1_000, True, FOREVER_US, 1_099, id="added for ever"),
        pytest.param(500, False, FOREVER_US, 499, id="set for ever"),
    ],
)
def test_what_is_granted_for_a_time_does_not_outlive_it(
    amount: int, until_us: int, carried: int, *, adds: bool
) -> None:
    change = LimitChange("daily", amount, adds=adds)
    override = Override(EntitlementGrant("calls", limit_changes=(change,)), until_us)
    acme = msgspec.structs.replace(having(0, plan="rolling"), overrides=(override,))
    sidecar = begun(acme)
    assert sidecar.decide(1).decision.allowed
    sidecar.now_us = LATER_US
    assert carried == limit_usage(sidecar).carried
