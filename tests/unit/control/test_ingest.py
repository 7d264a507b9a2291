"""Usage into the ledger; each test is named by its outcome."""

from __future__ import annotations

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.errors import Fenced, SequenceGap
from sidecar.control.rules.history import Greeting, Run
from sidecar.control.services import ingest
from sidecar.control.services.sweep import IDEMPOTENCY_US, sweep
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CORRECTIONS, FIRST_CHAIN, LedgerLine, LineFilter, Loss
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.counters import CounterRef, CounterTotal
from tests.unit.control.support import (
    ALICE,
    BOB,
    CAROL,
    LIFETIME,
    NOW_US,
    Writer,
    key_of,
    per_user,
    record,
    set_up,
    used,
)


def _lines(store: PlaneStore, company: str = "acme") -> list[LedgerLine]:
    with store.read() as transaction:
        return transaction.lines(LineFilter(company), None, 1_000)


def _parts(store: PlaneStore) -> dict[str, int]:
    with store.read() as transaction:
        (state,) = transaction.counters([key_of()])
    assert sum(state.parts.values()) == state.total
    return state.parts


def _writer(incarnation: str, *records: bytes) -> Writer:
    writer = Writer(incarnation)
    writer.write(*records)
    return writer


def test_a_run_moves_the_watermark_and_answers_with_totals(store: PlaneStore) -> None:
    alice = _writer(ALICE, record(3), record(4, counters=[LIFETIME, per_user("eve")]))
    _writer(BOB, record(10)).push(store)
    pushed = alice.push(store)
    assert (2, 2) == (pushed.watermark, pushed.added)
    assert [
        CounterTotal("acme", "tokens", LIFETIME, total=17, own=7, version=NOW_US + 1),
        CounterTotal("acme", "tokens", per_user("eve"), total=4, own=4, version=NOW_US + 1),
    ] == list(pushed.totals)
    assert [10, 3, 4] == sorted((line.quantity for line in _lines(store)), key=[10, 3, 4].index)


def test_a_retry_changes_nothing_and_gets_the_same_answer(store: PlaneStore) -> None:
    alice = _writer(ALICE, record(3), record(4))
    first = alice.push(store)
    again = alice.push(store)
    assert (first.watermark, first.totals) == (again.watermark, again.totals)
    assert 0 == again.added
    assert 2 == len(_lines(store))


def test_an_overlap_adds_what_is_new(store: PlaneStore) -> None:
    alice = _writer(ALICE, record(1), record(2), record(3))
    alice.push(store, 1, 2)
    assert (3, 1) == (alice.push(store, 2, 3).watermark, 1)
    assert [1, 2, 3] == [line.quantity for line in _lines(store)]
    assert 6 == used(store)


def test_an_old_retry_is_told_of_no_more_than_it_has_shown(store: PlaneStore) -> None:
    original = _writer(ALICE, record(1), record(2))
    clone = original.clone()
    original.write(record(4))
    original.push(store)
    clone.write(record(8))
    assert 2 == clone.push(store, 1, 2).watermark
    greeting = Greeting(3, 2, clone.chains[2], clone.chains[3])
    welcome = ingest.greet(store, ALICE, "", greeting, NOW_US)
    assert (2, False) == (welcome.watermark, welcome.fenced)
    with pytest.raises(Fenced):
        clone.push(store, 3)


def test_a_gap_is_refused_with_what_is_expected(store: PlaneStore) -> None:
    alice = _writer(ALICE, *(record(at) for at in range(1, 6)))
    alice.push(store, 1, 2)
    with pytest.raises(SequenceGap) as refused:
        alice.push(store, 4, 5)
    assert 3 == refused.value.expected_sequence
    assert 2 == len(_lines(store))


def test_a_clone_is_fenced_and_stays_so_while_nothing_is_doubled(store: PlaneStore) -> None:
    original = _writer(ALICE, record(1), record(2))
    original.push(store)
    clone = original.clone()
    original.write(record(30))
    clone.write(record(400), record(5_000))
    original.push(store, 3)
    with pytest.raises(Fenced) as fenced:
        clone.push(store, 2)
    assert 2 == fenced.value.common_sequence
    original.write(record(60_000))
    with pytest.raises(Fenced) as also_fenced:
        original.push(store, 4)
    assert 3 == also_fenced.value.common_sequence
    assert 33 == used(store)


def test_what_a_fenced_clone_offers_again_counts_once(store: PlaneStore) -> None:
    original = _writer(ALICE, record(1, key="a"), record(2, key="b"))
    clone = original.clone()
    clone.write(record(4, key="c"))
    original.push(store)
    reborn = _writer(CAROL, *clone.records)
    reborn.push(store)
    assert 7 == used(store)
    assert {ALICE: 3, CAROL: 7, CORRECTIONS: -3} == _parts(store)


def test_a_duplicate_is_kept_as_a_line_and_taken_back_from_the_total(store: PlaneStore) -> None:
    _writer(ALICE, record(5, key="k")).push(store)
    pushed = _writer(BOB, record(5, key="k")).push(store)
    (total,) = pushed.totals
    assert (5, 5) == (total.total, total.own)  # so that others, total - own, count 0 at Bob
    assert {ALICE: 5, BOB: 5, CORRECTIONS: -5} == _parts(store)
    assert ["", f"{ALICE}-1"] == [line.duplicate_of for line in _lines(store)]


def test_a_duplicate_within_one_run_is_found(store: PlaneStore) -> None:
    _writer(ALICE, record(5, key="k"), record(5, key="k")).push(store)
    assert 5 == used(store)
    assert ["", f"{ALICE}-1"] == [line.duplicate_of for line in _lines(store)]


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("incarnations", [(ALICE,), (ALICE, BOB), (ALICE, BOB, CAROL)])
def test_large_duplicates_leave_the_total_exact(
    store: PlaneStore, incarnations: tuple[str, ...], size: int
) -> None:
    for incarnation in incarnations:
        _writer(incarnation, *[record(2**62, key="k")] * size).push(store)
    assert 2**62 == used(store)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param(record(5, key="k", payload="other"), 10, id="other payload"),
        pytest.param(record(5, key="k2"), 10, id="other key"),
        pytest.param(record(5), 10, id="no key"),
        pytest.param(record(5, key="k", payload="same"), 5, id="same key and payload"),
    ],
)
def test_only_the_same_key_and_payload_is_a_duplicate(
    store: PlaneStore, second: bytes, expected: int
) -> None:
    _writer(ALICE, record(5, key="k", payload="same")).push(store)
    _writer(BOB, second).push(store)
    assert expected == used(store)


def test_the_same_key_of_another_company_is_no_duplicate(store: PlaneStore) -> None:
    _writer(ALICE, record(5, key="k"), record(5, key="k", name="other")).push(store)
    assert (5, 5) == (used(store), used(store, name="other"))


def test_a_key_is_free_again_after_35_days(store: PlaneStore) -> None:
    _writer(ALICE, record(5, key="k")).push(store)
    assert sweep(store, NOW_US + IDEMPOTENCY_US) is False
    _writer(BOB, record(5, key="k")).push(store)
    assert 5 == used(store)
    sweep(store, NOW_US + IDEMPOTENCY_US + 1)
    _writer(CAROL, record(5, key="k")).push(store)
    assert 10 == used(store)


def test_unattributed_usage_is_put_on_its_counters_by_the_plane(store: PlaneStore) -> None:
    set_up(store, "acme")
    pushed = _writer(ALICE, record(5, unattributed=True, user="eve")).push(store)
    assert {
        CounterTotal("acme", "tokens", LIFETIME, total=5, own=0, version=NOW_US, corrections=5),
        CounterTotal(
            "acme", "tokens", per_user("eve"), total=5, own=0, version=NOW_US, corrections=5
        ),
    } == set(pushed.totals)
    assert [False] == [line.unattributed for line in _lines(store)]


def test_unattributed_usage_without_its_dimension_skips_that_limit(store: PlaneStore) -> None:
    set_up(store, "acme")
    pushed = _writer(ALICE, record(5, unattributed=True)).push(store)
    assert [LIFETIME] == [total.counter for total in pushed.totals]


@pytest.mark.parametrize(("name", "feature"), [("nobody", "tokens"), ("acme", "unheard-of")])
def test_usage_of_an_unknown_company_or_feature_stays_unattributed(
    store: PlaneStore, name: str, feature: str
) -> None:
    set_up(store, "acme")
    pushed = _writer(ALICE, record(5, name=name, feature=feature, unattributed=True)).push(store)
    assert (1, []) == (pushed.watermark, list(pushed.totals))
    assert [True] == [line.unattributed for line in _lines(store, name)]


def test_an_unattributed_duplicate_counts_nothing(store: PlaneStore) -> None:
    set_up(store, "acme")
    _writer(ALICE, record(5, key="k")).push(store)
    _writer(BOB, record(5, key="k", unattributed=True)).push(store)
    assert 5 == used(store)


def counted_in(start_us: int, end_us: int) -> bytes:
    """A record of a counter with a window."""
    counter = sync_pb2.Counter(slot="s", window_start_us=start_us, window_end_us=end_us)
    return sync_pb2.UsageRecord(company="a", feature="f", counters=[counter]).SerializeToString()


GARBAGE = {
    "no message": (b"\xff\xff\xff", "records[1]"),
    "broken UTF-8": (b"\x0a\x02\xc3\x28", "records[1]"),
    "no company": (record(name=""), "records[1].company"),
    "a company too long": (record(name="x" * 129), "records[1].company"),
    "a company with a NUL": (record(name="acme\0x"), "records[1].company"),
    "a company with a line break": (record(name="acme\n"), "records[1].company"),
    "a key with a line separator": (record(key="k\u2028"), "records[1].idempotency_key"),
    "a value with a NUL": (record(counters=[per_user("a\0b")]), "records[1].counters[0].values[0]"),
    "a slot with a line break": (
        record(counters=[CounterRef("a\nb", (), LIFETIME.window)]),
        "records[1].counters[0].slot",
    ),
    "no feature": (record(feature=""), "records[1].feature"),
    "a negative quantity": (record(-1), "records[1].quantity"),
    "a time before 1970": (record(at_us=-1), "records[1].event_time_us"),
    "a time out of reach": (record(at_us=INT64_MAX), "records[1].event_time_us"),
    "a key without a digest": (
        sync_pb2.UsageRecord(company="a", feature="f", idempotency_key="k").SerializeToString(),
        "records[1].payload_digest",
    ),
    "a counter without a window": (
        sync_pb2.UsageRecord(
            company="a", feature="f", counters=[sync_pb2.Counter(slot="s")]
        ).SerializeToString(),
        "records[1].counters[0].window_end_us",
    ),
    "a window before all time": (
        counted_in(-INT64_MAX - 1, 0),
        "records[1].counters[0].window_start_us",
    ),
    "a window beyond all time": (
        counted_in(0, INT64_MAX - 1),
        "records[1].counters[0].window_start_us",
    ),
    "too many counters": (record(counters=[LIFETIME] * 33), "records[1].counters"),
}


@pytest.mark.parametrize(("garbage", "field"), GARBAGE.values(), ids=GARBAGE)
def test_a_record_that_cannot_be_read_is_booked_as_such_and_the_run_goes_on(
    store: PlaneStore, garbage: bytes, field: str
) -> None:
    alice = _writer(ALICE, record(1), garbage, record(4))
    pushed = alice.push(store)
    assert (3, 3, 1) == (pushed.watermark, pushed.added, pushed.unreadable)
    assert [1, 4] == [line.quantity for line in _lines(store)]
    assert 5 == used(store)
    (loss,) = _losses(store)
    assert (ALICE, 2, 2) == (loss.incarnation, loss.first_sequence, loss.last_sequence)
    assert loss.reason.startswith(f"cannot be read: {field.replace('records[1]', 'record')}: ")


def test_a_retry_of_what_cannot_be_read_changes_nothing(store: PlaneStore) -> None:
    alice = _writer(ALICE, record(1), b"\xff", b"\xff", record(4))
    assert 2 == alice.push(store).unreadable
    again = alice.push(store, now_us=NOW_US + 1)
    assert (4, 0, 0) == (again.watermark, again.added, again.unreadable)
    (loss,) = _losses(store)
    assert (2, 3) == (loss.first_sequence, loss.last_sequence)
    alice.write(record(5))
    assert 5 == alice.push(store, 5).watermark
    assert 10 == used(store)


def test_another_history_behind_what_cannot_be_read_is_still_seen(store: PlaneStore) -> None:
    alice = _writer(ALICE, b"\xff", record(1))
    twin = _writer(ALICE, b"\xfe", record(1))
    alice.push(store)
    with pytest.raises(Fenced):
        twin.push(store)


def _losses(store: PlaneStore) -> list[Loss]:
    with store.read() as transaction:
        return transaction.losses(10, with_acknowledged=False)


@pytest.mark.parametrize("name", [" acme", "acme\u3000", "a\u0378", "\u202ea"])
def test_usage_that_was_accepted_by_older_rules_for_names_is_booked(
    store: PlaneStore, name: str
) -> None:
    user = per_user(name)
    _writer(ALICE, record(3, name=name, key=name, counters=[user])).push(store)
    assert 3 == used(store, user, name)
    assert [3] == [line.quantity for line in _lines(store, name)]


def test_quantities_at_the_end_of_int64_do_not_block_the_outbox(store: PlaneStore) -> None:
    alice = _writer(ALICE, *(record(INT64_MAX, key=f"k{at}") for at in range(3)))
    bob = _writer(BOB, *(record(INT64_MAX, key=f"k{at}") for at in range(3)))
    assert 3 == alice.push(store).watermark
    assert INT64_MAX == used(store)
    assert 3 == bob.push(store).watermark


def test_a_greeting_is_kept_and_the_epoch_answered(store: PlaneStore) -> None:
    welcome = ingest.greet(store, ALICE, "node-1", Greeting(0, 0, b""), NOW_US)
    ingest.greet(store, ALICE, "node-2", Greeting(0, 0, b""), NOW_US + 5)
    with store.read() as transaction:
        known = transaction.incarnation(ALICE)
        assert transaction.state() == welcome.state
    assert known is not None
    assert ("node-2", NOW_US, NOW_US + 5) == (
        known.node,
        known.first_heard_us,
        known.last_heard_us,
    )
    assert (0, False, 0) == (welcome.watermark, welcome.fenced, welcome.common_sequence)


def test_a_plane_that_lost_state_fences_and_takes_everything_again(store: PlaneStore) -> None:
    alice = _writer(ALICE, record(1), record(2), record(3))
    greeting = Greeting(3, 2, alice.chains[2])
    welcome = ingest.greet(store, ALICE, "", greeting, NOW_US)
    assert (0, True, 2) == (welcome.watermark, welcome.fenced, welcome.common_sequence)
    with pytest.raises(Fenced):
        ingest.push(store, ALICE, Run(1, FIRST_CHAIN, alice.records), NOW_US, NOW_US)
    _writer(BOB, *alice.records[2:]).push(store)
    assert 3 == used(store)


def test_a_restored_disk_learns_what_is_common(store: PlaneStore) -> None:
    alice = _writer(ALICE, record(1), record(2), record(3))
    alice.push(store)
    greeting = Greeting(2, 1, alice.chains[1], alice.chains[2])
    welcome = ingest.greet(store, ALICE, "", greeting, NOW_US)
    assert (3, True, 2) == (welcome.watermark, welcome.fenced, welcome.common_sequence)
    # What it has left is told apart run by run: known records are skipped, new ones refused.
    assert 0 == alice.push(store, 2, 2).added
    alice.records[2] = record(4)
    with pytest.raises(Fenced) as fenced:
        alice.push(store, 3, 3)
    assert 2 == fenced.value.common_sequence
