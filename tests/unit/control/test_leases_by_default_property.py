"""A company that is not there is leased as one that holds the default plan, also while it comes and
goes: the same requests, records and changes of the plan at a plane without it, and at one with it.
"""

from __future__ import annotations

from contextlib import closing
from typing import Final, NamedTuple, TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.storage.lease_values import LeaseFilter
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.leases.model import LeaseResult, LeaseStatus
from sidecar.domain.time.units import HOUR_US, SECOND_US
from tests.unit.control.leasing_plane import DAILY, Plane, day
from tests.unit.control.support import ALICE, BOB, CAROL, Writer
from tests.unit.control.test_leases_by_default import NAME, counted, sold

COMPANY: Final = Company(NAME, subscription=Subscription("free", anchor_us=0))
SIDECARS: Final = (ALICE, BOB, CAROL)


class _Ask(NamedTuple):
    """`gives_back`: all that is not used; `is_lost`: the answer."""

    who: str
    need: int
    want: int
    gives_back: bool
    is_lost: bool


class _Count(NamedTuple):
    """As much as the lease has, or more: such usage has happened."""

    who: str
    quantity: int


class _Push(NamedTuple):
    """All that was counted."""

    who: str


class _Sell(NamedTuple):
    """The default plan grants so much from now on; `None`: any amount."""

    amount: int | None


class _Exist(NamedTuple):
    """From now on the company is there, or is not, at the one of the planes."""

    exists: bool


class _Wait(NamedTuple):
    microseconds: int


_Step: TypeAlias = _Ask | _Count | _Push | _Sell | _Exist | _Wait
_WHO: Final = st.sampled_from(SIDECARS)
_STEPS: Final = st.lists(
    st.one_of(
        st.builds(_Ask, _WHO, st.integers(0, 60), st.integers(0, 80), st.booleans(), st.booleans()),
        st.builds(_Count, _WHO, st.integers(1, 40)),
        st.builds(_Push, _WHO),
        st.builds(_Sell, st.sampled_from([0, 30, 100, 250, None])),
        st.builds(_Exist, st.booleans()),
        st.builds(_Wait, st.sampled_from([SECOND_US, 90 * SECOND_US, HOUR_US])),
    ),
    max_size=30,
)


class _Sidecar:
    """What a sidecar has on disk; it has not heard whether the company is there."""

    def __init__(self, incarnation: str) -> None:
        self.writer = Writer(incarnation)
        self.granted = self.own = 0


class _Planes:
    """Two planes at which all is the same but for the company."""

    def __init__(self, without: Plane, having: Plane) -> None:
        self.without, self.having = without, having
        self.sidecars = {who: _Sidecar(who) for who in SIDECARS}
        self.exists = False
        for plane in (without, having):
            _sell(plane, DAILY)

    def take(self, step: _Step) -> None:
        match step:
            case _Ask():
                self._ask(step)
            case _Count(who, quantity):
                sidecar = self.sidecars[who]
                sidecar.own += quantity
                sidecar.writer.write(counted(quantity, day()))
            case _Push(who) if self.sidecars[who].writer.records:
                for plane in (self.without, self.having):
                    self.sidecars[who].writer.push(plane.store)
            case _Sell(amount):
                for plane in (self.without, self.having):
                    _sell(plane, replace(DAILY, amount=amount))
            case _Exist(exists) if exists is not self.exists:
                self.exists = exists
                desired = Desired(companies=(COMPANY,)) if exists else Desired(remove=(NAME,))
                apply.apply(self.having.store, desired, self.having.now_us)
                self.having.fill()
            case _Wait(microseconds):
                for plane in (self.without, self.having):
                    plane.now_us += microseconds

    def _ask(self, ask: _Ask) -> None:
        sidecar = self.sidecars[ask.who]
        if ask.gives_back:
            sidecar.granted = sidecar.own
        answers = {_asked(plane, sidecar, ask) for plane in (self.without, self.having)}
        (answer,) = answers
        if answer.status is LeaseStatus.GRANTED and not ask.is_lost:
            sidecar.granted = answer.granted


def _asked(plane: Plane, sidecar: _Sidecar, ask: _Ask) -> LeaseResult:
    who = sidecar.writer.incarnation
    held, used = max(sidecar.granted, sidecar.own), sidecar.own
    return plane.ask(day(), ask.need, ask.want, held=held, used=used, who=who, name=NAME)


def _sell(plane: Plane, limit: Limit) -> None:
    apply.apply(plane.store, Desired(sold(limit, limit)), plane.now_us)
    plane.fill()


def _leased(plane: Plane) -> list[tuple[object, int]]:
    with plane.store.read() as transaction:
        rows = transaction.leases_after(LeaseFilter(NAME), None, 100)
    return [(each.lease, each.outstanding) for each in rows]


@given(_STEPS)
def test_whether_the_company_is_there_makes_no_difference(steps: list[_Step]) -> None:
    with closing(SqliteStore()) as one, closing(SqliteStore()) as other:
        planes = _Planes(Plane(one), Plane(other))
        for step in steps:
            planes.take(step)
        assert _leased(planes.without) == _leased(planes.having)
