"""Levels: what is in use now, up and down, by name, and for a time."""

from __future__ import annotations

from typing import Any, Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.errors import (
    Conflict,
    FailedPrecondition,
    FieldError,
    InvalidInput,
    NotFound,
    OutOfRange,
)
from sidecar.domain.limits.counters import CounterName, CounterRef, CounterTotal
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import LIFETIME_WINDOW
from tests.support.build import NOW_US, SHADOW, SOFT, company
from tests.support.inside import Inside
from tests.support.levels import (
    adjust,
    expire,
    items,
    level_catalog,
    level_limit,
    set_to,
    told,
    used,
)
from tests.support.sidecar_api import stamp

EACH: Final = level_limit("each", 10, each=["user"])
MINUTE_US: Final = 60 * SECOND_US


@pytest.fixture
def sidecar() -> Inside:
    return Inside(level_catalog(level_limit()), company(), authority=True)


def reason(answer: Any) -> Reason:
    return Reason(answer.decision.reason)


async def test_a_level_rises_and_falls(sidecar: Inside) -> None:
    assert 30 == (await adjust(sidecar, 30)).changed
    assert -12 == (await adjust(sidecar, -12)).changed
    assert [18] == await used(sidecar)
    assert [30, -12] == [record.quantity for record in sidecar.records()]


async def test_no_more_than_the_limit_is_in_use_and_what_comes_back_can_be_used_again(
    sidecar: Inside,
) -> None:
    assert (await adjust(sidecar, 100)).decision.allowed
    denied = await adjust(sidecar, 1)
    assert (False, Reason.LIMIT_EXCEEDED, 0) == (
        denied.decision.allowed, reason(denied), denied.changed
    )  # fmt: skip
    await adjust(sidecar, -1)
    assert (await adjust(sidecar, 1)).decision.allowed
    assert [100] == await used(sidecar)


@pytest.mark.parametrize("enforcement", [SOFT, SHADOW])
async def test_limits_that_let_pass_do(enforcement: Any) -> None:
    sidecar = Inside(level_catalog(level_limit(enforcement=enforcement)), company(), authority=True)
    answer = await adjust(sidecar, 130)
    assert (True, 130) == (answer.decision.allowed, answer.changed)
    assert (30 if enforcement is SOFT else 0) == answer.decision.overage


async def test_all_limits_that_apply_are_counted_on_or_none() -> None:
    sidecar = Inside(level_catalog(level_limit(), EACH), company(), authority=True)
    await adjust(sidecar, 10, dimensions={"user": "ann"})
    denied = await adjust(sidecar, 1, dimensions={"user": "ann"})
    assert "each" == denied.decision.binding_limit.limit
    await adjust(sidecar, 5, dimensions={"user": "bob"})
    assert [15, 10] == await used(sidecar, dimensions={"user": "ann"})
    await adjust(sidecar, -4, dimensions={"user": "ann"})
    assert [11, 6] == await used(sidecar, dimensions={"user": "ann"})


async def test_below_nothing_is_refused_and_nothing_moved(sidecar: Inside) -> None:
    await adjust(sidecar, 3)
    with pytest.raises(FailedPrecondition, match="takes back 4 where 3 is in use") as refused:
        await adjust(sidecar, -4)
    assert ("amount", "BELOW_ZERO") == (refused.value.field, refused.value.reason)
    assert [3] == await used(sidecar)
    assert 1 == len(sidecar.records())


async def test_of_an_item_no_less_than_nothing_is_in_use(sidecar: Inside) -> None:
    await adjust(sidecar, 50)
    await adjust(sidecar, 2, "disk")
    with pytest.raises(FailedPrecondition, match="takes back 3 where 2 of item 'disk' is in use"):
        await adjust(sidecar, -3, "disk")
    assert ([52], {"disk": 2}) == (await used(sidecar), await items(sidecar))


async def test_an_item_is_set_and_set_again_without_being_counted_twice(sidecar: Inside) -> None:
    assert [7, 0, -3, -4] == [
        (await set_to(sidecar, level, "disk")).changed for level in (7, 7, 4, 0)
    ]
    assert ([0], {}) == (await used(sidecar), await items(sidecar))
    assert [7, -3, -4] == [record.quantity for record in sidecar.records()]


async def test_a_level_is_set_on_the_narrowest_limit_that_applies() -> None:
    sidecar = Inside(level_catalog(level_limit(), EACH), company(), authority=True)
    ann = {"user": "ann"}
    await adjust(sidecar, 20)
    assert 5 == (await set_to(sidecar, 5, dimensions=ann)).changed
    assert -3 == (await set_to(sidecar, 2, dimensions=ann)).changed
    assert [22, 2] == await used(sidecar, dimensions=ann)
    assert 8 == (await set_to(sidecar, 30)).changed


async def test_a_retry_under_a_key_changes_nothing_more(sidecar: Inside) -> None:
    first = await adjust(sidecar, 5, idempotency_key="k")
    again = await adjust(sidecar, 5, idempotency_key="k")
    assert (True, first.record_id, 5) == (again.replayed, again.record_id, again.changed)
    assert [5] == await used(sidecar)
    with pytest.raises(Conflict):
        await adjust(sidecar, 6, idempotency_key="k")
    with pytest.raises(Conflict):
        await set_to(sidecar, 5, idempotency_key="k")


async def test_what_has_a_time_to_live_comes_back_by_itself_on_the_microsecond(
    sidecar: Inside,
) -> None:
    answer = await adjust(sidecar, 5, "job", MINUTE_US)
    over_us = NOW_US + MINUTE_US
    assert stamp(over_us) == answer.item.expires
    sidecar.now_us = over_us - 1
    assert 0 == expire(sidecar)
    sidecar.now_us = over_us + 3 * SECOND_US
    assert 1 == expire(sidecar)
    assert ([0], {}) == (await used(sidecar), await items(sidecar))
    record = sidecar.records()[-1]
    assert (-5, over_us) == (record.quantity, record.event_time_us)
    assert ("job", True, 0) == (record.level.item, record.level.expired, record.level.item_level)


async def test_what_is_set_again_lives_longer(sidecar: Inside) -> None:
    await set_to(sidecar, 1, "job", MINUTE_US)
    sidecar.now_us += MINUTE_US // 2
    await set_to(sidecar, 1, "job", MINUTE_US)
    sidecar.now_us += MINUTE_US // 2 + 1
    assert 0 == expire(sidecar)
    await adjust(sidecar, 0, "job", MINUTE_US)
    sidecar.now_us += MINUTE_US
    assert 1 == expire(sidecar)
    assert [1, -1] == [record.quantity for record in sidecar.records()]


async def test_an_item_that_is_over_is_taken_back_before_it_is_changed(sidecar: Inside) -> None:
    await adjust(sidecar, 60, "job", MINUTE_US)
    sidecar.now_us += MINUTE_US
    assert (await adjust(sidecar, 70, "job", MINUTE_US)).decision.allowed
    assert ([70], {"job": 70}) == (await used(sidecar), await items(sidecar))
    assert [60, -60, 70] == [record.quantity for record in sidecar.records()]


async def test_items_come_back_after_a_restart_and_under_another_incarnation(
    sidecar: Inside,
) -> None:
    await adjust(sidecar, 5, "job", MINUTE_US)
    await adjust(sidecar, 2)
    sidecar.reopen(power_lost=True)
    assert [7] == await used(sidecar)
    sidecar.now_us += 40 * DAY_US
    assert 1 == expire(sidecar)
    assert [2] == await used(sidecar)


async def test_items_are_taken_back_from_where_they_were_counted() -> None:
    sidecar = Inside(level_catalog(level_limit(), EACH), company(), authority=True)
    await adjust(sidecar, 5, "job", dimensions={"user": "ann"})
    with pytest.raises(InvalidInput, match="is counted with others"):
        await adjust(sidecar, 1, "job", dimensions={"user": "bob"})
    sidecar.apply(level_catalog(level_limit()))
    assert -5 == (await set_to(sidecar, 0, "job")).changed
    sidecar.apply(level_catalog(level_limit(), EACH))
    assert [0, 0] == await used(sidecar, dimensions={"user": "ann"})


@pytest.mark.parametrize(
    "subscription",
    [
        pytest.param(Subscription("bare", 0), id="the plan lacks the feature"),
        pytest.param(Subscription("basic", 0, cancel_us=NOW_US), id="canceled"),
    ],
)
async def test_who_may_use_nothing_any_more_still_gives_back(subscription: Subscription) -> None:
    sidecar = Inside(level_catalog(level_limit()), company(), authority=True)
    await adjust(sidecar, 8, "job")
    await adjust(sidecar, 2, "other", MINUTE_US)
    sidecar.now_us += SECOND_US
    sidecar.apply(None, Company("acme", subscription=subscription))
    assert not (await adjust(sidecar, 1, "job")).decision.allowed
    assert -8 == (await adjust(sidecar, -8, "job")).changed
    sidecar.now_us += MINUTE_US
    assert 1 == expire(sidecar)
    sidecar.apply(None, company())
    assert [0] == await used(sidecar)


async def test_a_reset_of_usage_leaves_in_use_what_is(sidecar: Inside) -> None:
    await adjust(sidecar, 8, "job")
    sidecar.now_us += SECOND_US
    sidecar.apply(None, company(), resets_usage=True)
    assert [8] == await used(sidecar)
    assert -8 == (await set_to(sidecar, 0, "job")).changed
    assert [0] == await used(sidecar)


async def test_where_a_feature_says_how_long_everything_has_a_name_and_a_time_to_live() -> None:
    content = level_catalog(level_limit(), ttl_max_us=MINUTE_US)
    sidecar = Inside(content, company(), authority=True)
    for fields, field in (
        ({}, "item"),
        ({"item": "job"}, "time_to_live"),
        ({"item": "job", "ttl_us": MINUTE_US + 1}, "time_to_live"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await adjust(sidecar, 1, **fields)
        assert field == refused.value.field
    await adjust(sidecar, 1, "job", MINUTE_US)
    assert (await adjust(sidecar, 1, "job")).decision.allowed
    assert {"job": 2} == await items(sidecar)


_NOTHING: Final[dict[str, Any]] = {}


@pytest.mark.parametrize(
    ("amount", "fields", "error", "field"),
    [
        pytest.param(1, {"feature": "nothing"}, None, "", id="unknown feature"),
        pytest.param(1, {"item": " job"}, InvalidInput, "item", id="spaces"),
        pytest.param(1, {"item": "x" * 129}, InvalidInput, "item", id="a long name"),
        pytest.param(1, {"ttl_us": SECOND_US}, InvalidInput, "time_to_live", id="no item"),
        pytest.param(
            1, {"item": "job", "ttl_us": 0}, InvalidInput, "time_to_live", id="no time to live"
        ),
        pytest.param(
            1, {"item": "job", "ttl_us": -SECOND_US}, InvalidInput, "time_to_live", id="over before"
        ),
        pytest.param(
            1, {"item": "job", "ttl_us": 367 * DAY_US}, InvalidInput, "time_to_live", id="too long"
        ),
        pytest.param(
            1, {"event_time": stamp(NOW_US - 36 * DAY_US)}, OutOfRange, "event_time", id="too late"
        ),
        pytest.param(-(2**63), _NOTHING, InvalidInput, "amount", id="too little"),
        pytest.param(-1, _NOTHING, FailedPrecondition, "amount", id="below nothing"),
        pytest.param(1, {"company": ""}, InvalidInput, "company", id="no company"),
    ],
)
async def test_bad_input_is_refused_and_nothing_moves(
    sidecar: Inside,
    amount: int,
    fields: dict[str, Any],
    error: type[FieldError] | None,
    field: str,
) -> None:
    if error is None:
        assert Reason.UNKNOWN_FEATURE is reason(await adjust(sidecar, amount, **fields))
    else:
        with pytest.raises(error) as refused:
            await adjust(sidecar, amount, **fields)
        assert field == refused.value.field
    assert ([0], []) == (await used(sidecar), sidecar.records())


async def test_a_level_below_nothing_cannot_be_set(sidecar: Inside) -> None:
    with pytest.raises(InvalidInput) as refused:
        await set_to(sidecar, -1)
    assert "level" == refused.value.field


async def test_what_no_limit_counts_has_a_name() -> None:
    sidecar = Inside(level_catalog(), company(), authority=True)
    with pytest.raises(FailedPrecondition, match="no limit counts it"):
        await adjust(sidecar, -1)
    assert (await adjust(sidecar, 4, "job")).decision.allowed
    assert {"job": 4} == await items(sidecar)


async def test_checks_and_levels_are_told_apart(sidecar: Inside) -> None:
    with pytest.raises(InvalidInput, match="AdjustLevel or SetLevel"):
        sidecar.decide(1, "jobs")


async def test_items_are_told_in_pages(sidecar: Inside) -> None:
    for name in ("c", "a", "b"):
        await adjust(sidecar, 1, name)
    first = await told(sidecar, page_size=2)
    rest = await told(sidecar, page_size=2, page_token=first.next_page_token)
    assert (["a", "b"], ["c"], "") == (
        [item.item for item in first.items],
        [item.item for item in rest.items],
        rest.next_page_token,
    )
    assert ["b"] == [item.item for item in (await told(sidecar, item="b")).items]
    with pytest.raises(NotFound):
        await told(sidecar, company="nobody")


async def test_a_late_report_is_billed_by_its_time_and_counts_now(sidecar: Inside) -> None:
    await adjust(sidecar, 4, event_time=stamp(NOW_US - DAY_US))
    assert [4] == await used(sidecar)
    (record,) = sidecar.records()
    assert (NOW_US - DAY_US, NOW_US) == (record.event_time_us, record.accepted_time_us)


def test_answers_to_both_are_the_same_bytes() -> None:
    adjusted = pb.AdjustLevelResponse.DESCRIPTOR.fields_by_name
    assert {(name, field.number) for name, field in adjusted.items()} == {
        (name, field.number)
        for name, field in pb.SetLevelResponse.DESCRIPTOR.fields_by_name.items()
    }


class TestLeased:
    """Where the plane grants leases, by these alone."""

    @pytest.fixture
    def leased(self) -> Inside:
        return Inside(level_catalog(level_limit(amount=10)), company(), leases=True)

    async def test_what_is_more_needs_a_lease_and_what_comes_back_does_for_the_next(
        self, leased: Inside
    ) -> None:
        leased.leases.available = 10
        assert (await adjust(leased, 10)).decision.allowed
        await adjust(leased, -10)
        assert (await adjust(leased, 10)).decision.allowed
        assert 1 == len(leased.leases.asked)
        assert Reason.LIMIT_EXCEEDED is reason(await adjust(leased, 1))

    async def test_what_others_have_in_use_as_far_as_it_was_heard_denies_nothing(
        self, leased: Inside
    ) -> None:
        hear(leased, 10)
        assert (await adjust(leased, 3)).decision.allowed
        assert 10 == (await adjust(leased, 1)).decision.binding_limit.used

    async def test_what_others_have_counted_is_taken_back_here(self, leased: Inside) -> None:
        hear(leased, 8)
        assert -5 == (await adjust(leased, -5)).changed
        assert [3] == await used(leased)
        leased.reopen()
        assert [3] == await used(leased)
        leased.leases.available = 5
        assert (await adjust(leased, 5)).decision.allowed
        assert [8] == await used(leased)

    async def test_where_it_is_not_known_the_plane_is_asked_before_less_is_refused(
        self, leased: Inside
    ) -> None:
        leased.totals.told[NAME] = heard(6)
        assert -4 == (await adjust(leased, -4)).changed
        with pytest.raises(FailedPrecondition, match="where 2 is in use"):
            await adjust(leased, -3)

    async def test_without_a_lease_and_a_plane_the_fail_policy_decides(
        self, leased: Inside
    ) -> None:
        leased.leases.away = True
        assert Reason.LEASE_UNAVAILABLE is reason(await adjust(leased, 1))
        hear(leased, 8)
        assert -8 == (await adjust(leased, -8)).changed


NAME: Final = CounterName("acme", "jobs", CounterRef("LEVEL||", (), LIFETIME_WINDOW))


def heard(total: int) -> CounterTotal:
    return CounterTotal("acme", "jobs", NAME.counter, total, 0, 9)


def hear(sidecar: Inside, total: int) -> None:
    """The plane tells what others have in use."""
    sidecar.opened.counters.hear(sidecar.opened.store.incarnation.id, [heard(total)])
