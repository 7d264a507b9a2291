"""Properties of renaming: whatever a company is called by, its usage is one sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.control.services import usage
from sidecar.control.services.renames import rename_company
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.values import LineFilter
from sidecar.domain.errors import Conflict
from tests.unit.control.support import ALICE, BOB, NOW_US, Writer, record, set_up, used

NAMES: Final = ("acme", "b", "c", "d")

Step = tuple[str, str, int, str]
"""What is done: a rename, or usage at one of two sidecars; the name; quantity and key."""


def steps() -> st.SearchStrategy[list[Step]]:
    return st.lists(
        st.tuples(
            st.sampled_from(["rename", ALICE, BOB, "push"]),
            st.sampled_from(NAMES),
            st.integers(1, 5),
            st.sampled_from(["", "", "k1", "k2"]),
        ),
        max_size=30,
    )


class System:
    """A plane and two sidecars of before, which count under whatever they are told."""

    def __init__(self) -> None:
        self.store = SqliteStore(":memory:")
        set_up(self.store, "acme")
        self.names = {"acme"}
        self.apart: set[str] = set()
        self.counted: list[tuple[int, str]] = []
        self._writers = {ALICE: Writer(ALICE), BOB: Writer(BOB)}
        self._waiting: dict[str, list[tuple[str, int, str]]] = {ALICE: [], BOB: []}

    def rename(self, name: str) -> None:
        try:
            rename_company(self.store, "acme", name)
        except Conflict:
            assert name in self.apart  # its usage stands alone already
            return
        assert name not in self.apart
        self.names.add(name)

    def use(self, sidecar: str, name: str, quantity: int, key: str) -> None:
        # A key comes with one payload, as a retry does, under whatever name.
        amount = len(key) if key else quantity
        unknown = name != "acme"
        self._writers[sidecar].write(record(amount, name=name, key=key, unattributed=unknown))
        self._waiting[sidecar].append((name, amount, key))

    def push(self) -> None:
        for sidecar, waiting in self._waiting.items():
            if not waiting:
                continue
            writer = self._writers[sidecar]
            writer.push(self.store, len(writer.records) - len(waiting) + 1)
            for name, amount, key in waiting:
                if name in self.names:
                    self.counted.append((amount, key))
                else:
                    self.apart.add(name)
            waiting.clear()

    def expected(self) -> int:
        once = {key: amount for amount, key in self.counted if key}
        return sum(once.values()) + sum(amount for amount, key in self.counted if not key)


@given(steps())
@example([("rename", "b", 1, ""), (ALICE, "b", 1, "k1"), (BOB, "acme", 1, "k1")])
@example([(ALICE, "b", 1, ""), ("rename", "b", 1, ""), ("push", "b", 1, "")])
def test_usage_of_a_company_is_one_sum_whatever_names_were_used(done: Sequence[Step]) -> None:
    system = System()
    for what, name, quantity, key in done:
        if what == "push":
            system.push()
        elif what == "rename":
            system.rename(name)
        else:
            system.use(what, name, quantity, key)
    system.push()
    expected, store = system.expected(), system.store
    for name in system.names:
        sums, _ = usage.sum_usage(store, LineFilter(name), True, False, 10)
        assert expected == sum(each.quantity for each in sums)
        assert expected == usage.company_usage(store, name, "tokens", NOW_US).limits[0].used
    assert expected == used(store)
    store.close()
