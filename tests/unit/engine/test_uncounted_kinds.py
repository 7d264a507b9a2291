"""Checks of credits, seats and levels are refused, with what to do instead, and count nothing."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import FeatureKind, Limit
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import Check
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.engine.enforce import Answer
from sidecar.engine.needs import Needs
from tests.support.build import NOW_US, catalog, check, company, limit, metered
from tests.support.inside import Inside

EVER: Final = WindowSpec(WindowUnit.LIFETIME)
KINDS: Final = {
    "money": FeatureKind.CREDITS,
    "seats": FeatureKind.SEATS,
    "jobs": FeatureKind.LEVEL,
}
INSTEAD: Final = {
    "money": "'money' is CREDITS, which checks do not count: usage of features that cost it draws",
    "seats": "'seats' is SEATS, which checks do not count: ask for a seat by AcquireSeat",
    "jobs": "'jobs' is LEVEL, which checks do not count: move it by AdjustLevel or SetLevel",
}


@pytest.fixture
def sidecar() -> Inside:
    grants = [metered(key, Limit("all", EVER, 10)) for key in KINDS]
    return Inside(catalog({"basic": [metered("calls", limit()), *grants]}, KINDS), company("acme"))


@pytest.mark.parametrize("feature", KINDS)
@pytest.mark.parametrize("mode", GrantMode)
@pytest.mark.parametrize("quantity", [0, 1])
def test_a_check_is_refused(sidecar: Inside, feature: str, mode: GrantMode, quantity: int) -> None:
    for ask in (sidecar.decide, sidecar.question):
        with pytest.raises(InvalidInput) as refused:
            ask(quantity, feature, mode=mode)
        assert "feature" == refused.value.field
        assert refused.value.message.startswith(INSTEAD[feature])
    assert [] == sidecar.records()


def test_in_a_batch_it_is_refused_alone(sidecar: Inside) -> None:
    checks: list[Check] = [check("acme", key, 1, at_us=NOW_US) for key in ("calls", "seats")]
    had = Needs(frozenset(("acme",)))
    answers = sidecar.enforcer.check_and_increment_each(checks, sidecar.now_us, had)
    assert not isinstance(answers, Needs)
    counted, refused = answers
    assert isinstance(counted, Answer)
    assert isinstance(refused, InvalidInput)
    assert ["calls"] == [record.feature for record in sidecar.records()]


def test_it_is_explained_where_it_comes_from(sidecar: Inside) -> None:
    for feature in KINDS:
        told = sidecar.explainer.explain(check("acme", feature, 1, at_us=NOW_US), NOW_US)
        assert not isinstance(told, Needs)
        assert told.entitlement.entitled
        assert ["all"] == [each.id for each in told.entitlement.limits]
