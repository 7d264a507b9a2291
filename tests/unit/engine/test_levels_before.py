"""Levels without an item where no limit counts them now: less is taken back, more is denied."""

from __future__ import annotations

from typing import Any, Final

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.errors import FailedPrecondition, OutOfRange
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import SECOND_US
from tests.support.build import SOFT, company
from tests.support.inside import Inside
from tests.support.levels import adjust, items, level_catalog, level_limit, set_to, used

BARE: Final = Company("acme", subscription=Subscription("bare"))


def reason(answer: Any) -> tuple[bool, Reason]:
    return answer.decision.allowed, Reason(answer.decision.reason)


@pytest.fixture
async def downgraded() -> Inside:
    """A sidecar whose company had 3 in use, and may have none now."""
    sidecar = Inside(level_catalog(level_limit()), company(), authority=True)
    await adjust(sidecar, 3)
    sidecar.now_us += SECOND_US
    sidecar.apply(None, BARE)
    return sidecar


async def test_what_was_counted_before_a_downgrade_is_taken_back(downgraded: Inside) -> None:
    assert -1 == (await adjust(downgraded, -1)).changed
    assert -2 == (await set_to(downgraded, 0)).changed
    downgraded.apply(None, company())
    assert [0] == await used(downgraded)
    assert [3, -1, -2] == [record.quantity for record in downgraded.records()]


async def test_more_than_was_counted_is_not_taken_back(downgraded: Inside) -> None:
    with pytest.raises(FailedPrecondition, match="takes back 4 where 3 is in use"):
        await adjust(downgraded, -4)


async def test_more_is_denied_by_an_answer(downgraded: Inside) -> None:
    assert (False, Reason.NOT_ENTITLED) == reason(await adjust(downgraded, 1))
    assert (False, Reason.NOT_ENTITLED) == reason(await set_to(downgraded, 9))


async def test_who_never_had_any_is_denied_by_an_answer() -> None:
    sidecar = Inside(level_catalog(level_limit()), BARE, authority=True)
    for change in (adjust(sidecar, 1), adjust(sidecar, -1), set_to(sidecar, 1), set_to(sidecar, 0)):
        assert (False, Reason.NOT_ENTITLED) == reason(await change)
    unknown = await adjust(sidecar, 1, company="nobody")
    assert (False, Reason.UNKNOWN_COMPANY) == reason(unknown)
    assert [] == sidecar.records()


async def test_a_plan_without_limits_takes_back_what_was_counted_and_counts_no_more() -> None:
    sidecar = Inside(level_catalog(level_limit()), company(), authority=True)
    await adjust(sidecar, 3)
    sidecar.now_us += SECOND_US
    sidecar.apply(level_catalog(), company())
    assert -1 == (await adjust(sidecar, -1)).changed
    with pytest.raises(FailedPrecondition, match="no limit counts it"):
        await adjust(sidecar, 1)


async def test_no_more_of_an_item_is_in_use_than_a_number_holds() -> None:
    sidecar = Inside(level_catalog(level_limit(enforcement=SOFT)), company(), authority=True)
    await adjust(sidecar, INT64_MAX)
    for change in (adjust(sidecar, 1, "disk"), set_to(sidecar, INT64_MAX, "disk")):
        with pytest.raises(OutOfRange, match="more than 2\\^63-1"):
            await change
    assert {} == await items(sidecar)
    assert -INT64_MAX == (await adjust(sidecar, -INT64_MAX)).changed
    assert [0] == await used(sidecar)
