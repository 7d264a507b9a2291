"""Usage in pages: company-wide limits first, over all features, then those of each user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.errors import InvalidInput, OutOfRange
from sidecar.domain.time.units import DAY_US
from sidecar.engine.usage_report import UsagePlace
from sidecar.shared.page_tokens import encode_place
from tests.support.build import DAY, NOW_US, SOFT, catalog, company, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import ANYONE

USERS: Final = 25
PER_USER: Final = limit("per_user", 5, SOFT, window=DAY, each=["user"])
BY_MODEL: Final = limit("by_model", 5, SOFT, window=DAY, each=["model"])
FEATURES: Final = ("calls", "pages", "tokens")


@pytest.fixture
def sidecar() -> Inside:
    """A company with users of two features, and limits of each user on three."""
    limits = (limit("monthly", 1_000), PER_USER, BY_MODEL)
    found = Inside(catalog({"basic": [metered(name, *limits) for name in FEATURES]}), company())
    for feature in ("calls", "tokens"):
        for user in range(USERS):
            found.decide(1, feature, dimensions={"user": f"user {user}", "model": "large"})
    return found


async def ask(sidecar: Inside, **fields: object) -> pb.GetUsageResponse:
    request = pb.GetUsageRequest(company="acme", **fields)  # type: ignore[arg-type]
    data = await sidecar.query_methods.get_usage(request.SerializeToString(), ANYONE)
    return pb.GetUsageResponse.FromString(data)


def told(answer: pb.GetUsageResponse) -> Iterator[tuple[str, str, str]]:
    """Feature, limit and whose."""
    for usage in answer.features:
        for found in usage.limits:
            yield usage.feature, found.limit, found.dimensions.get("user", "")


async def pages(sidecar: Inside, size: int, **fields: object) -> list[pb.GetUsageResponse]:
    found = [await ask(sidecar, page_size=size, **fields)]
    while found[-1].next_page_token:
        token = found[-1].next_page_token
        assert found[-1].truncated
        found.append(await ask(sidecar, page_size=size, page_token=token))
    return found


async def test_the_first_page_has_the_company_wide_limits_of_all_features(sidecar: Inside) -> None:
    answer = await ask(sidecar, page_size=4)
    assert [
        *(("calls", name, user) for name, user in (("monthly", ""), ("per_user", "user 0"))),
        ("pages", "monthly", ""),
        ("tokens", "monthly", ""),
    ] == [(feature, name, "user 0" if user else "") for feature, name, user in told(answer)]
    assert answer.truncated


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 26, 27, 28, 100])
async def test_pages_have_each_limit_once(sidecar: Inside, size: int) -> None:
    whole = await ask(sidecar)
    assert (False, "") == (whole.truncated, whole.next_page_token)
    found = await pages(sidecar, size)
    assert sorted(told(whole)) == sorted(line for page in found for line in told(page))
    assert all(len(list(told(page))) <= size for page in found)
    company_wide = [name == "monthly" for page in found for _, name, _ in sorted(told(page))]
    assert company_wide.count(True) == len(FEATURES)


async def test_pages_of_one_feature(sidecar: Inside) -> None:
    found = [line for page in await pages(sidecar, 10, feature="tokens") for line in told(page)]
    assert 1 + USERS + 1 == len(found) == len(set(found))
    assert {"tokens"} == {feature for feature, _, _ in found}


async def test_pages_go_on_in_the_windows_that_they_began_with(sidecar: Inside) -> None:
    first = await ask(sidecar, page_size=10)
    sidecar.now_us += DAY_US
    second = await ask(sidecar, page_size=100, page_token=first.next_page_token)
    assert 3 + 2 * (USERS + 1) == len([*told(first), *told(second)])


async def test_a_limit_that_is_gone_meanwhile_hides_no_other(sidecar: Inside) -> None:
    first = await ask(sidecar, page_size=10)
    sidecar.apply(catalog({"basic": [metered(name, PER_USER) for name in FEATURES]}))
    second = await ask(sidecar, page_size=100, page_token=first.next_page_token)
    users = {user for _, name, user in (*told(first), *told(second)) if name == "per_user"}
    assert USERS == len(users)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_size": 10_001}, "page_size"),
        ({"page_token": "no token"}, "page_token"),
        ({"page_token": "bm8="}, "page_token"),
    ],
)
async def test_odd_pages_are_refused(
    sidecar: Inside, fields: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await ask(sidecar, **fields)
    assert field == refused.value.field


async def test_a_page_of_windows_long_gone_is_refused(sidecar: Inside) -> None:
    token = encode_place(UsagePlace(NOW_US - 36 * DAY_US, by_values=True, feature="calls"))
    with pytest.raises(OutOfRange) as refused:
        await ask(sidecar, page_token=token)
    assert "page_token" == refused.value.field
