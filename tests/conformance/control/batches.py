"""What is done to a control plane's store in one transaction: tests have it fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from sidecar.control.errors import Fenced
from sidecar.control.rules.history import Greeting
from sidecar.control.services import apply, ingest, snapshots
from sidecar.control.services.apply import Desired
from sidecar.control.services.close_windows import RollingCatalogs, close_windows
from sidecar.control.services.rollover_walk import Walker
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.services.sweep import IDEMPOTENCY_US, sweep
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import Catalog, Plan
from sidecar.domain.company.subscription_changes import NOW, ChangePlan
from tests.unit.control.rollover_plane import RolloverPlane, catalog_of, monthly, on_plan, utc
from tests.unit.control.support import (
    ALICE,
    BOB,
    CATALOG,
    LIFETIME,
    NOW_US,
    Writer,
    company,
    per_user,
    record,
    set_up,
)

MORE: Final = Catalog(CATALOG.features, (Plan("max"), *CATALOG.plans))
FEBRUARY_US: Final = utc(2026, 2, 1)

Do = Callable[[PlaneStore], object]


class Batch(NamedTuple):
    """What is there before, and what is then done."""

    prepare: Do
    run: Do


def _alice() -> Writer:
    alice = Writer(ALICE)
    alice.write(record(5, key="a"), record(6, key="b", counters=[LIFETIME, per_user("eve")]))
    return alice


def _bob() -> Writer:
    """Repeats what alice has counted, and has something that waits for its company."""
    bob = Writer(BOB)
    bob.write(
        record(5, key="a"),
        record(7, key="c", counters=[LIFETIME, per_user("bob")]),
        record(8, unattributed=True),
        record(9, name="nobody", unattributed=True),
    )
    return bob


def sold(store: PlaneStore) -> None:
    """A catalog, two companies, and usage of one."""
    set_up(store, "acme", "globex")
    _alice().push(store)


def _push_clone(store: PlaneStore) -> None:
    clone = Writer(ALICE)
    clone.write(record(1), record(2), record(3))
    with suppress(Fenced):
        clone.push(store)


def _apply(store: PlaneStore) -> None:
    companies = (company("acme", "max"), company("hooli"))
    apply.apply(store, Desired(MORE, companies, remove=("globex",)), NOW_US + 1)


def _two_plans(store: PlaneStore) -> None:
    apply.apply(store, Desired(MORE, (company(),)), NOW_US)


def _rolling(store: PlaneStore) -> None:
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=monthly()), on_plan(), on_plan(name="globex"))
    plane.use(30)


def _newly_rolling(store: PlaneStore) -> None:
    companies = (on_plan(), on_plan(name="globex"))
    apply.apply(store, Desired(catalog_of(pro=monthly()), companies), FEBRUARY_US)


def _walk(store: PlaneStore) -> None:
    walker = Walker(RollingCatalogs())
    if page := walker.next_page(store, FEBRUARY_US):
        walker.look_at(store, page, FEBRUARY_US)


BATCHES: Final = {
    "a greeting": Batch(
        sold, lambda store: ingest.greet(store, BOB, "node", Greeting(0, 0, b"", b""), NOW_US + 1)
    ),
    "a push": Batch(sold, lambda store: _bob().push(store, now_us=NOW_US + 1)),
    "a fencing": Batch(sold, _push_clone),
    "an apply": Batch(sold, _apply),
    "a change of a subscription": Batch(
        _two_plans,
        lambda store: change_subscription(store, "acme", ChangePlan("max"), NOW, NOW_US + 1),
    ),
    "the closing of windows": Batch(
        _rolling, lambda store: close_windows(store, RollingCatalogs(), FEBRUARY_US)
    ),
    "a page of the walk": Batch(_newly_rolling, _walk),
    "a step of the sweep": Batch(sold, lambda store: sweep(store, NOW_US + IDEMPOTENCY_US + 1)),
}
"""Each may be done again: what it finds done, it leaves."""

RESTORED: Final = Batch(sold, lambda store: snapshots.start(store, 99, False, NOW_US))
"""Alone in that it is another one each time: a watcher shows that state was lost."""
