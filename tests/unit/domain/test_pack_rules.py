"""What packs must fulfil, by outcome."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    LimitChange,
    Merge,
    Plan,
    RateChange,
    Rollover,
)
from sidecar.domain.catalog.rules import problems
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.support.build import ANCHORED_MONTH, MONTH, limit, metered, rate_limit
from tests.support.packs import pack

CALLS: Final = Feature("calls", FeatureKind.METERED)
SSO: Final = Feature("sso", FeatureKind.BOOLEAN)
LIMITED: Final = metered("calls", limit("daily", 10))
EVERYWHERE: Final = metered("calls", limit("own", 50, window=MONTH))


def told(add_on: AddOn, *plans: EntitlementGrant | None, earlier: tuple[Plan, ...] = ()) -> str:
    """What is wrong, where: plans `plan 0`, `plan 1`, ... grant this, or nothing."""
    sold = tuple(
        Plan(f"plan {at}", "", () if grant is None else (grant,)) for at, grant in enumerate(plans)
    )
    content = Catalog((CALLS, SSO), sold, (add_on,), plan_versions=earlier)
    return "\n".join(
        f"{'.'.join(map(str, problem.path))}: {problem.message}" for problem in problems(content)
    )


@pytest.mark.parametrize(
    ("add_on", "plans"),
    [
        pytest.param(pack(), (LIMITED,), id="for the limit of a plan"),
        pytest.param(pack(), (LIMITED, LIMITED), id="that counts alike in all"),
        pytest.param(pack(), (LIMITED, metered("calls")), id="or is unlimited in some"),
        pytest.param(pack(grant=EVERYWHERE), (None, metered("calls", limit())), id="a whole limit"),
        pytest.param(
            msgspec.structs.replace(pack(), plans=("plan 0",)),
            (LIMITED, metered("calls", limit("daily", 10, window=ANCHORED_MONTH))),
            id="for one of several plans that count otherwise",
        ),
        pytest.param(
            pack(),
            (metered("calls", limit("daily", 10, window=WindowSpec(WindowUnit.LIFETIME))),),
            id="for a lifetime",
        ),
    ],
)
def test_a_pack_may_be(add_on: AddOn, plans: tuple[EntitlementGrant | None, ...]) -> None:
    assert "" == told(add_on, *plans)


def given(grant: EntitlementGrant, merge: Merge = Merge.INCREMENT) -> AddOn:
    return AddOn("pack", entitlements=(AddOnEntitlement(grant, merge),), once=True)


_AT: Final = "add_ons.0.entitlements.0"
_ONCE: Final = "a pack (once) gives amounts, which are used up"


@pytest.mark.parametrize(
    ("add_on", "expected"),
    [
        pytest.param(AddOn("pack", once=True), f"add_ons.0.once: {_ONCE}", id="empty"),
        pytest.param(
            given(EntitlementGrant("sso", enabled=True)),
            f"{_AT}.entitlement: {_ONCE}: 'sso' has none here",
            id="of a feature that is not used up",
        ),
        pytest.param(
            given(metered("calls")),
            f"{_AT}.entitlement: {_ONCE}: 'calls' has none here",
            id="unlimited",
        ),
        pytest.param(
            given(EntitlementGrant("calls", limit_changes=(LimitChange("daily", None, True),))),
            f"{_AT}.entitlement.limit_changes.0.amount: {_ONCE}: unlimited is not",
            id="unlimited by name",
        ),
        pytest.param(
            given(metered("calls", limit("daily", None))),
            f"{_AT}.entitlement.limits.0.amount: {_ONCE}: unlimited is not",
            id="a whole limit without an amount",
        ),
        pytest.param(
            given(LIMITED, Merge.OVERRIDE),
            f"{_AT}.merge: {_ONCE}: it replaces nothing",
            id="one that replaces",
        ),
        pytest.param(
            given(EntitlementGrant("calls", rate_changes=(RateChange("burst", 1, 1, True),))),
            f"{_AT}.entitlement.rate_changes.0: {_ONCE}: a rate is not",
            id="a rate",
        ),
        pytest.param(
            given(EntitlementGrant("calls", rates=(rate_limit(),))),
            f"{_AT}.entitlement.rates.0: {_ONCE}: a rate is not",
            id="a whole rate",
        ),
        pytest.param(
            given(metered("calls", limit("daily", each=("user",)))),
            f"{_AT}.entitlement.limits.0.scope: a pack is for limits without each",
            id="for each user",
        ),
        pytest.param(
            given(metered("calls", limit("daily", window=WindowSpec(WindowUnit.REQUEST)))),
            f"{_AT}.entitlement.limits.0.window: a limit for each request counts nothing",
            id="for each request",
        ),
        pytest.param(
            given(metered("calls", msgspec.structs.replace(limit("daily"), rollover=Rollover()))),
            f"{_AT}.entitlement.limits.0.rollover: a pack lasts until it is used",
            id="one that rolls over",
        ),
    ],
)
def test_a_pack_may_not_be(add_on: AddOn, expected: str) -> None:
    assert expected in told(add_on, LIMITED)


@pytest.mark.parametrize(
    ("plans", "expected"),
    [
        pytest.param(
            (LIMITED, metered("calls", limit("daily", 10, window=ANCHORED_MONTH))),
            "limit 'daily' counts per MONTH CALENDAR in plan 'plan 0' and per MONTH ANCHORED in "
            "plan 'plan 1', so that a change of the plan would give the pack again: count alike, "
            "or say plans: [...] that it is sold with, and sell another pack with the others",
            id="otherwise by window",
        ),
        pytest.param(
            (LIMITED, metered("calls", limit("daily", 10, match={"model": "large"}))),
            "limit 'daily' counts other usage in plan 'plan 0' than in plan 'plan 1', so",
            id="otherwise by scope",
        ),
        pytest.param(
            (metered("calls", limit("daily", 10, each=("user",))),),
            "plan 'plan 0' counts 'daily' for each user: a pack is for limits without each",
            id="for each user",
        ),
        pytest.param(
            (metered("calls", limit("daily", 10, window=WindowSpec(WindowUnit.REQUEST))),),
            "'daily' of plan 'plan 0': a limit for each request counts nothing",
            id="for each request",
        ),
    ],
)
def test_plans_may_not_count(plans: tuple[EntitlementGrant, ...], expected: str) -> None:
    said = told(pack(), *plans)
    assert said.startswith(f"{_AT}.entitlement.limit_changes.0: {expected}"), said


def test_a_version_that_companies_still_have_counts_alike_too() -> None:
    earlier = Plan("plan 0", "", (metered("calls", limit("daily", 10, window=ANCHORED_MONTH)),), 1)
    assert "as it was sold before" in told(pack(), LIMITED, earlier=(earlier,))
    usual = msgspec.structs.replace(pack(), once=False)
    assert "" == told(usual, LIMITED, earlier=(earlier,))
