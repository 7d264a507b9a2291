"""A plane that grants credits, and sidecars that burn them under leases."""

from __future__ import annotations

from typing import Final

from sidecar.control.services import apply, credit_grants
from sidecar.control.services.apply import Desired
from sidecar.control.services.credit_accounts import SourceAccount
from sidecar.control.services.credit_balances import FeatureBalance, get_balances
from sidecar.control.services.credit_grants import GrantedCredits, GrantWanted
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER, counter_of_grant
from sidecar.domain.leases.model import LeaseResult
from sidecar.domain.limits.counters import CounterRef, slot_of
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.unit.control.leasing_plane import Plane
from tests.unit.control.support import ALICE, NOW_US, TODAY, company

DAILY: Final = Limit("daily", WindowSpec(WindowUnit.DAY), 100, priority=5)
DAILY_COUNTER: Final = CounterRef(slot_of(DAILY), (), TODAY)
NOTHING: Final = Limit("nothing", WindowSpec(WindowUnit.LIFETIME), 0)
CATALOG: Final = Catalog(
    (
        Feature("credits", FeatureKind.CREDITS),
        Feature("more", FeatureKind.CREDITS),
        Feature("tokens", FeatureKind.METERED),
    ),
    (
        Plan("pro", "", (EntitlementGrant("credits", limits=(DAILY,), overdraft=50),)),
        Plan("bare", "", (EntitlementGrant("credits", limits=(NOTHING,)),)),
    ),
)


def grant(
    id_: str = "welcome",
    amount: int = 1_000,
    *,
    priority: int = 0,
    kind: GrantKind = GrantKind.PROMOTIONAL,
    effective_us: int = NOW_US,
    expires_us: int = FOREVER_US,
) -> CreditGrant:
    return CreditGrant(id_, amount, priority, kind, effective_us, expires_us)


class CreditPlane(Plane):
    """A company `acme` on plan bare, and calls about its credits at `now_us`."""

    def __init__(self, store: PlaneStore, plan: str = "bare") -> None:
        super().__init__(store)
        apply.apply(store, Desired(CATALOG, (company("acme", plan),)), self.now_us)
        self.fill()

    def grant(
        self,
        given: CreditGrant,
        *,
        name: str = "acme",
        feature: str = "credits",
        starts_now: bool = False,
        dry_run: bool = False,
    ) -> GrantedCredits:
        wanted = GrantWanted(name, feature, given, "sales", starts_now=starts_now)
        return credit_grants.grant_credits(self.store, wanted, self.now_us, dry_run=dry_run)

    def void(self, id_: str = "welcome", *, dry_run: bool = False) -> GrantedCredits:
        return credit_grants.void_grant(
            self.store, "acme", id_, "fraud", self.now_us, dry_run=dry_run
        )

    def accounts(self, *, with_over: bool = True) -> dict[str, SourceAccount]:
        """The accounts of all grants, each of which adds up."""
        page, after = credit_grants.list_grants(
            self.store, "acme", "", None, 1_000, self.now_us, with_over=with_over
        )
        assert after is None
        for stored, account in page:
            assert account.amount == stored.grant.amount
            assert_adds_up(account)
        return {stored.grant.id: account for stored, account in page}

    def balance(self, feature: str = "credits") -> FeatureBalance:
        (found,) = get_balances(self.store, "acme", feature, self.now_us)
        for held in found.sources:
            assert_adds_up(held.account)
        return found

    def lease(
        self,
        counter: CounterRef,
        quantity: int,
        *,
        held: int = 0,
        used: int = 0,
        who: str = ALICE,
        feature: str = "credits",
    ) -> LeaseResult:
        """Ask for a lease of a source, as a sidecar does."""
        return self.ask(counter, quantity, held=held, used=used, who=who, feature=feature)

    def give_back(self, counter: CounterRef, used: int, who: str = ALICE) -> LeaseResult:
        return self.ask(counter, 0, 0, held=used, used=used, who=who, feature="credits")

    def burn(self, counter: CounterRef, amount: int, who: str = ALICE) -> None:
        """Have what a sidecar burned arrive."""
        with self.store.write() as transaction:
            version = transaction.next_ledger_version(self.now_us)
            key = CounterKey("acme", "credits", counter)
            transaction.add_to_counters(who, {key: amount}, version)

    def owe(self, amount: int) -> None:
        """Have the plane burn what nothing covers."""
        self.burn(OVERDRAFT_COUNTER, amount, CORRECTIONS)

    def told(self) -> list[str]:
        """Ids of the grants that sidecars are told of, in burn order."""
        with self.store.read() as transaction:
            snapshot = transaction.snapshots(["acme"])["acme"]
        return [given.grant.id for given in snapshot.credit_grants]

    def revision(self) -> int:
        with self.store.read() as transaction:
            return transaction.state().revision


def assert_adds_up(account: SourceAccount) -> None:
    where = account.burned, account.lost, account.leased, account.left
    gone = account.expired + account.voided
    assert min(*where, gone, account.overcommitted) >= 0
    assert account.amount + account.overcommitted == sum(where) + gone


def counter(given: CreditGrant) -> CounterRef:
    return counter_of_grant(given)
