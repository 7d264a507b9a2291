"""Names in requests: what no script needs is refused, and what was named before is served."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.catalog.model import Catalog
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.reasons import GrantMode
from tests.support.build import catalog, company, limit, metered
from tests.support.inside import Inside

SPACED: Final = " acme "
"""Such a name may have been given before spaces at the ends were refused."""


def content(default_plan: str = "") -> Catalog:
    plans = {"basic": [metered("calls", limit("monthly", 3)), metered("calls ", limit("old", 3))]}
    return replace(catalog(plans), default_plan=default_plan)


@pytest.mark.parametrize("usual", [True, False])
def test_a_company_and_a_feature_that_were_named_before_are_served_and_counted(
    usual: bool,
) -> None:
    sidecar = Inside(content(), company(SPACED, "basic"), usual=usual)
    assert [True, True, True, False] == [
        sidecar.decide(feature="calls ", company=SPACED).decision.allowed for _ in range(4)
    ]
    assert [SPACED] * 3 == [record.company for record in sidecar.records()]


@pytest.mark.parametrize("mode", [GrantMode.ALL_OR_NOTHING, GrantMode.RECORD_ONLY])
@pytest.mark.parametrize("authority", [True, False])
def test_no_new_company_comes_to_be_for_a_space_too_much(mode: GrantMode, authority: bool) -> None:
    sidecar = Inside(content("basic"), company("acme", "basic"), authority=authority)
    if not authority:
        sidecar.directory.remember_absent(["acme "], sidecar.now_us + 1, 1)
    with pytest.raises(InvalidInput) as caught:
        sidecar.decide(company="acme ", mode=mode)
    assert ("company", []) == (caught.value.field, sidecar.records())


@pytest.mark.parametrize("mode", [GrantMode.ALL_OR_NOTHING, GrantMode.RECORD_ONLY])
def test_no_new_feature_comes_to_be_for_a_space_too_much(mode: GrantMode) -> None:
    sidecar = Inside(content(), company("acme", "basic"))
    with pytest.raises(InvalidInput) as caught:
        sidecar.decide(feature=" calls", mode=mode)
    assert ("feature", []) == (caught.value.field, sidecar.records())


def test_usage_is_not_lost_while_nobody_can_say_whether_its_company_was_named_before() -> None:
    sidecar = Inside(content(), company("acme", "basic"))
    sidecar.decide(company=SPACED, mode=GrantMode.RECORD_ONLY)
    assert [SPACED] == [record.company for record in sidecar.records()]
