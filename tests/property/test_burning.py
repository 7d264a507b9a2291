"""Checks burn balances as a model does that moves coins one by one."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import groupby
from typing import Any, Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import CompanyGrant
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import window_at
from tests.support.build import DAY, LIFETIME, NOW_US, company, limit
from tests.support.burning import costs, credits_catalog, one_off
from tests.support.inside import Inside
from tests.support.method_calls import COUNTING, answer_of, call
from tests.support.sidecar_api import stamp

LIMITS: Final = (
    Limit("daily", DAY, 12, priority=1),
    Limit("ever", LIFETIME, 9, priority=1, credit_kind=GrantKind.PAID),
)
PRICES: Final = {"small": Fraction(2, 3), "large": Fraction(7)}
CALLS_MAX: Final = 40
CONTENT: Final = credits_catalog(
    {
        "models": [costs(by={"small": 2, "large": 21}, per=3)],
        "capped": [costs(1)],
    },
    *LIMITS,
    overdraft=5,
    on={"capped": [limit("whole", CALLS_MAX)]},
)


class _Check(NamedTuple):
    """Usage that is asked for so many times at once, or that has happened."""

    feature: str
    model: str
    quantity: int
    mode: pb.GrantMode.ValueType
    late_us: int
    reports: bool
    way: str
    times: int


_CHECKS: Final = st.builds(
    _Check,
    st.sampled_from(["models", "models", "capped"]),
    st.sampled_from(sorted(PRICES)),
    st.sampled_from([0, 1, 2, 3, 4, 9, 50]),
    st.sampled_from([pb.GRANT_MODE_ALL_OR_NOTHING, pb.GRANT_MODE_UP_TO]),
    st.sampled_from([0, 0, 0, 1, HOUR_US, DAY_US]),
    st.booleans(),
    st.sampled_from(COUNTING),
    st.sampled_from([1, 1, 2, 3]),
)
_GRANTS: Final = st.builds(
    one_off,
    st.sampled_from(["daily", "a", "b", "c"]),
    st.integers(1, 9),
    priority=st.sampled_from([0, 1, 2]),
    from_us=st.sampled_from([NOW_US - DAY_US, NOW_US, NOW_US + 1, NOW_US + HOUR_US]),
    until_us=st.sampled_from([NOW_US + HOUR_US + 1, NOW_US + DAY_US, FOREVER_US]),
    kind=st.sampled_from(GrantKind),
)
_STEPS: Final = st.lists(
    st.one_of(_CHECKS, _CHECKS, _GRANTS, st.sampled_from([1, HOUR_US, DAY_US, "restart"])),
    max_size=30,
)


class _Source(NamedTuple):
    """A heap of coins: how it is known, its name, and its place in the burn order."""

    key: tuple[str, int]
    name: str
    order: tuple[object, ...]
    coins: int


class Coins:
    """The model: which coins were taken of which heap, one by one."""

    def __init__(self) -> None:
        self.grants: dict[str, CompanyGrant] = {}
        self.taken: dict[tuple[str, int], int] = {}
        self.calls = 0

    def heaps(self, at_us: int) -> list[_Source]:
        found = []
        for each in LIMITS:
            window = window_at(each.window, at_us)
            paid = each.credit_kind is GrantKind.PAID
            order = (each.priority, window.end_us, paid, window.start_us, each.id)
            key = (f"limit {each.id}", window.start_us)
            found.append(_Source(key, each.id, order, each.amount or 0))
        for grant in (each.grant for each in self.grants.values()):
            if grant.effective_us <= at_us < grant.expires_us:
                paid = grant.kind is GrantKind.PAID
                order = (grant.priority, grant.expires_us, paid, grant.effective_us, grant.id)
                key = (f"grant {grant.id}", grant.effective_us)
                found.append(_Source(key, grant.id, order, grant.amount))
        found.sort(key=lambda source: source.order)
        overdraft = _Source(("overdraft", 0), "overdraft", (), 5)
        return [*found, overdraft]

    def left(self, source: _Source) -> int:
        return source.coins - self.taken.get(source.key, 0)

    def take_as_told(self, parts: Iterable[pb.CreditPart], at_us: int) -> None:
        """Take coins of the sources that are named; each must have them."""
        for part in parts:
            named = [each for each in self.heaps(at_us) if each.name == part.source]
            source = next(each for each in named if self.left(each) > 0)
            self.taken[source.key] = self.taken.get(source.key, 0) + part.amount
            assert self.left(source) >= 0

    def take(self, coins: int, at_us: int) -> list[str]:
        names = []
        for _ in range(coins):
            source = next(each for each in self.heaps(at_us) if self.left(each) > 0)
            self.taken[source.key] = self.taken.get(source.key, 0) + 1
            names.append(source.name)
        return names


def _price(step: _Check, quantity: int) -> int:
    price = PRICES[step.model] if step.feature == "models" else Fraction(1)
    return -int(-quantity * price // 1)


def _expected(coins: Coins, step: _Check, at_us: int) -> tuple[Reason, int, int, int]:
    """Reason, what is granted, what it costs, and how much of that there is."""
    in_all = sum(map(coins.left, coins.heaps(at_us)))
    room = CALLS_MAX - coins.calls if step.feature == "capped" else step.quantity
    granted, reason = step.quantity, Reason.ALLOWED
    if step.reports:
        if granted > room:
            reason = Reason.LIMIT_EXCEEDED
        elif _price(step, granted) > in_all:
            reason = Reason.CREDITS_EXHAUSTED
    else:
        up_to = step.mode == pb.GRANT_MODE_UP_TO
        if up_to and granted:
            granted = max(1, min(granted, room))
        if granted > room:
            return Reason.LIMIT_EXCEEDED, 0, 0, 0
        while up_to and granted > 1 and _price(step, granted) > in_all:
            granted -= 1
        if _price(step, granted) > in_all:
            return Reason.CREDITS_EXHAUSTED, 0, _price(step, granted), 0
    needed = _price(step, granted)
    if step.feature == "capped":
        coins.calls += granted
    return reason, granted, needed, min(needed, in_all)


def _merged(parts: Iterable[pb.CreditPart]) -> Iterable[tuple[str, int]]:
    """Parts, as one where a limit and a grant of the same name come one after the other."""
    for name, each in groupby(parts, key=lambda part: part.source):
        yield name, sum(part.amount for part in each)


async def _asked(inside: Inside, step: _Check, at_us: int) -> list[pb.Decision]:
    fields: dict[str, Any] = {
        "company": "acme",
        "feature": step.feature,
        "quantity": step.quantity,
        "event_time": stamp(at_us),
        "dimensions": {"model": step.model} if step.feature == "models" else {},
    }
    if step.reports:
        data = pb.RecordUsageRequest(**fields).SerializeToString()
        answer = await answer_of(inside.methods.record_usage, data)
        return [pb.RecordUsageResponse.FromString(answer).decision]
    request = pb.CheckAndIncrementRequest(**fields, grant_mode=step.mode)
    outcomes = await call(step.way, inside, *[request] * step.times)
    return [outcome.response.decision for outcome in outcomes]


def _take(inside: Inside, coins: Coins, step: Any) -> None:
    if isinstance(step, CompanyGrant):
        # A grant never becomes another one.
        coins.grants.setdefault(f"{step.grant.id} {step.grant.effective_us}", step)
        names = [each.grant.id for each in coins.grants.values()]
        if len(set(names)) < len(names):
            coins.grants.popitem()
        inside.grant(*coins.grants.values())
    elif step == "restart":
        inside.reopen()
    else:
        inside.now_us += step


def _is_as_the_model_has_it(coins: Coins, step: _Check, at_us: int, decision: pb.Decision) -> bool:
    """Hold what was decided against the model; whether a balance was looked at."""
    reason, granted, needed, amount = _expected(coins, step, at_us)
    assert (reason, granted) == (Reason(decision.reason), decision.granted)
    if reason is Reason.LIMIT_EXCEEDED and not step.reports:
        return False
    (burned,) = decision.burned
    assert (needed, amount) == (burned.needed, burned.amount)
    return True


@settings(max_examples=150)
@given(_STEPS)
async def test_checks_burn_coin_by_coin(steps: list[Any]) -> None:
    inside, coins = Inside(CONTENT, company()), Coins()
    for step in steps:
        if not isinstance(step, _Check):
            _take(inside, coins, step)
            continue
        at_us = inside.now_us - step.late_us
        for decision in await _asked(inside, step, at_us):
            if _is_as_the_model_has_it(coins, step, at_us, decision):
                (burned,) = decision.burned
                names = coins.take(burned.amount, at_us)
                taken = [(name, len(list(each))) for name, each in groupby(names)]
                assert taken == [*_merged(burned.parts)]
                assert sum(map(coins.left, coins.heaps(at_us))) == burned.left


@settings(max_examples=150)
@given(_STEPS)
async def test_with_leases_as_much_burns_and_never_more(steps: list[Any]) -> None:
    inside, coins = Inside(CONTENT, company(), leases=True), Coins()
    for step in steps:
        if not isinstance(step, _Check):
            _take(inside, coins, step)
        elif not step.reports:
            at_us = inside.now_us - step.late_us
            for decision in await _asked(inside, step, at_us):
                if _is_as_the_model_has_it(coins, step, at_us, decision):
                    (burned,) = decision.burned
                    coins.take_as_told(burned.parts, at_us)
                    assert sum(map(coins.left, coins.heaps(at_us))) == burned.left
