"""Every micro-credit is somewhere: grants, burns, leases, debts, refunds and voids at the plane."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.control.services.credit_refunds import RefundWanted, refund_credits
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.time.units import HOUR_US
from tests.unit.control.burning_plane import burning
from tests.unit.control.credit_plane import CreditPlane, counter
from tests.unit.control.support import ALICE, BOB, NOW_US, Writer

_SIDECARS = st.sampled_from([ALICE, BOB])
_STEPS = st.one_of(
    st.tuples(
        st.just("grant"),
        st.integers(1, 60),
        st.integers(0, 2),
        st.integers(-1, 5),
        st.sampled_from([3, 9, None]),
    ),
    st.tuples(st.just("burn"), _SIDECARS, st.integers(1, 40), st.integers(0, 15)),
    st.tuples(st.just("give back"), _SIDECARS),
    st.tuples(st.just("refund"), _SIDECARS, st.integers(1, 9), st.integers(0, 30)),
    st.tuples(st.just("void"), st.integers(0, 9)),
    st.tuples(st.just("sleep"), st.integers(1, 4)),
)


class _World(CreditPlane):
    """Sidecars that burn under leases, and the plane for the rest; it knows what things cost."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store)
        self.given: list[CreditGrant] = []
        self.writers = {who: Writer(who) for who in (ALICE, BOB)}
        self.granted: dict[tuple[str, str], int] = {}
        self.own: dict[tuple[str, str], int] = {}
        self.costs = self.refunded = 0

    def step_grant(self, amount: int, priority: int, starts_h: int, length_h: int | None) -> None:
        start_us = self.now_us + starts_h * HOUR_US
        ends_us = FOREVER_US if length_h is None else start_us + length_h * HOUR_US
        kind = GrantKind(1 + amount % 2)
        made = CreditGrant(f"g{len(self.given)}", amount, priority, kind, start_us, ends_us)
        self.given.append(made)
        self.grant(made)

    def step_burn(self, who: str, cost: int, wanted: int) -> None:
        """Burn by leases what these cover; the rest is for the plane."""
        parts, lacking = [], cost
        in_force = [
            each
            for each in self.given
            if each.id in self.told() and each.effective_us <= self.now_us < each.expires_us
        ]
        for each in in_force:
            key = who, each.id
            held, own = self.granted.get(key, 0), self.own.get(key, 0)
            if held - own < lacking:
                result = self.lease(counter(each), wanted, held=held, used=own, who=who)
                if result.status is LeaseStatus.GRANTED:
                    held = self.granted[key] = result.granted
            part = min(held - own, lacking)
            if part > 0:
                parts.append((counter(each), part))
                self.own[key] = own + part
                lacking -= part
        record = burning(1, cost, parts, at_us=self.now_us, feature="tokens")
        writer = self.writers[who]
        writer.write(record)
        writer.push(self.store, len(writer.records), now_us=self.now_us)
        self.costs += cost

    def step_give_back(self, who: str) -> None:
        for each in self.given:
            own = self.own.get((who, each.id), 0)
            if self.granted.get((who, each.id), 0) > own:
                self.granted[who, each.id] = own
                self.give_back(counter(each), own, who)

    def step_refund(self, who: str, sequence: int, amount: int) -> None:
        if sequence > len(self.writers[who].records):
            return
        wanted = RefundWanted("acme", who, sequence, amount=amount)
        try:
            self.refunded += refund_credits(self.store, wanted, self.now_us).amount
        except FailedPrecondition:
            return

    def step_void(self, at: int) -> None:
        if at < len(self.given):
            self.void(f"g{at}")

    def step_sleep(self, hours: int) -> None:
        self.now_us += hours * HOUR_US

    def check(self) -> None:
        accounts = self.accounts()  # each adds up
        debt = self.balance().debt
        assert sum(each.burned for each in accounts.values()) + debt == (self.costs - self.refunded)
        for each in self.given:
            account = accounts[each.id]
            assert not account.overcommitted
            own = sum(self.own.get((who, each.id), 0) for who in self.writers)
            held = sum(self.granted.get((who, each.id), 0) for who in self.writers)
            assert account.leased == max(0, held - own)
            assert account.amount == each.amount


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_STEPS, max_size=25))
def test_every_micro_credit_is_somewhere(steps: list[tuple[object, ...]]) -> None:
    store = SqliteStore()
    try:
        world = _World(store)
        assert world.now_us == NOW_US
        for name, *arguments in steps:
            getattr(world, f"step_{str(name).replace(' ', '_')}")(*arguments)
            world.check()
    finally:
        store.close()
