"""`tallyd subscription --dry-run`, and what is dropped by its name."""

from __future__ import annotations

import json

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from sidecar.shared.convert.times import timestamp
from tests.support.build import NOW_US
from tests.unit.cli.fakes import FakeServer, tallyd
from tests.unit.cli.test_subscription import ACME, FREE, TIMELINE, at_noon, changed, got

__all__ = ["at_noon"]


def test_a_dry_run_shows_the_timeline_before_and_after(fake: FakeServer) -> None:
    fake.answers["PreviewSubscription"] = changed()
    fake.answers["GetCompany"] = got(FREE)

    result = tallyd(
        *("subscription", "change", "acme", "--plan", "pro", "--dry-run"),
        *("--control", fake.address),
    )

    assert ExitCode.OK == result.exit_code
    assert result.stdout.startswith(
        "dry run, nothing was changed; would be:\nacme: plan pro; takes effect now\n\nas it is:\n"
    )
    assert result.stdout.endswith(f"as it would be:{TIMELINE}")


def test_a_dry_run_in_json_says_that_it_is_one(fake: FakeServer) -> None:
    fake.answers["PreviewSubscription"] = changed()

    result = tallyd(
        *("subscription", "cancel", "acme", "--dry-run", "--json", "--control", fake.address)
    )

    answer = json.loads(result.stdout)
    assert (True, ACME.id) == (answer["dry_run"], answer["company"]["id"])


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        ((), control_pb2.DropPlannedChanges()),
        (
            ("plan", "add-on seats"),
            control_pb2.DropPlannedChanges(what=["plan", "add-on seats"]),
        ),
        (
            ("--at", "+1h"),
            control_pb2.DropPlannedChanges(at=timestamp(NOW_US + 3_600_000_000)),
        ),
    ],
)
def test_what_is_to_be_dropped_is_sent_by_name_and_instant(
    fake: FakeServer, args: tuple[str, ...], wanted: control_pb2.DropPlannedChanges
) -> None:
    fake.answers["ChangeSubscription"] = changed()

    tallyd("subscription", "drop-planned", "acme", *args, "--control", fake.address)

    (request,) = fake.requests
    assert wanted == request.drop_planned
