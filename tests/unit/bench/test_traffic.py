"""What the benchmark sends, and which answers it does not accept."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.shared.catalog_file.load import load_catalog_file
from tests.bench.errors import BenchError
from tests.bench.traffic import ACQUIRE, BATCH, CHECK, ECHO, Traffic, catalog_text, company_id


def answer(
    *, allowed: bool = True, granted: int = 5, record_id: str = "1-1", replayed: bool = False
) -> pb.CheckAndIncrementResponse:
    """A good answer to `Traffic.check`, but for what is changed."""
    return pb.CheckAndIncrementResponse(
        decision=pb.Decision(allowed=allowed, granted=granted),
        record_id=record_id,
        replayed=replayed,
    )


REFUSED = {
    "denied": answer(allowed=False),
    "granted in part": answer(granted=4),
    "without a record": answer(record_id=""),
    "replayed": answer(replayed=True),
}


def test_counted_check_is_accepted() -> None:
    CHECK.verify(Traffic(1).check().SerializeToString(), answer().SerializeToString())


@pytest.mark.parametrize("response", REFUSED.values(), ids=REFUSED.keys())
def test_check_that_was_not_counted_is_refused(response: pb.CheckAndIncrementResponse) -> None:
    with pytest.raises(BenchError, match="not counted afresh"):
        CHECK.verify(Traffic(1).check().SerializeToString(), response.SerializeToString())


@pytest.mark.parametrize(("allowed", "assigned"), [(False, False), (True, True)])
def test_a_seat_that_was_not_held_is_refused(allowed: bool, assigned: bool) -> None:
    [request] = Traffic(1).acquisitions(1)
    held = pb.AcquireSeatResponse(decision=pb.Decision(allowed=True))
    ACQUIRE.verify(request, held.SerializeToString())
    answer = pb.AcquireSeatResponse(decision=pb.Decision(allowed=allowed), assigned=assigned)
    with pytest.raises(BenchError, match="not held already"):
        ACQUIRE.verify(request, answer.SerializeToString())


def batch_answer(*outcomes: pb.CheckOutcome) -> bytes:
    return pb.BatchCheckAndIncrementResponse(outcomes=outcomes).SerializeToString()


GOOD = pb.CheckOutcome(response=answer())
FAILED = pb.CheckOutcome(error=pb.CheckError(message="no"))
REPLAYED = pb.CheckOutcome(response=answer(replayed=True))


def test_counted_batch_is_accepted() -> None:
    [batch] = Traffic(1).batches(1, size=2)
    BATCH.verify(batch, batch_answer(GOOD, GOOD))


@pytest.mark.parametrize(
    "outcomes", [[GOOD], [GOOD, FAILED], [REPLAYED, GOOD]], ids=["short", "failed", "replayed"]
)
def test_batch_with_a_flaw_is_refused(outcomes: list[pb.CheckOutcome]) -> None:
    [batch] = Traffic(1).batches(1, size=2)
    with pytest.raises(BenchError):
        BATCH.verify(batch, batch_answer(*outcomes))


def test_changed_echo_is_refused() -> None:
    ECHO.verify(b"same", b"same")
    with pytest.raises(BenchError):
        ECHO.verify(b"same", b"other")


def test_every_check_has_a_key_of_its_own() -> None:
    requests = map(pb.CheckAndIncrementRequest.FromString, Traffic(3, users=2).checks(100))
    assert 100 == len({request.idempotency_key for request in requests})


def test_checks_are_spread_over_companies_and_users() -> None:
    requests = list(map(pb.CheckAndIncrementRequest.FromString, Traffic(3, users=2).checks(500)))
    pairs = {(request.company, request.dimensions["user"]) for request in requests}
    assert 3 * 2 == len(pairs)


def test_catalog_holds_the_companies_that_call(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(catalog_text(3))
    companies = [company.id for company in load_catalog_file(path).companies]
    assert [company_id(0), company_id(1), company_id(2)] == companies
