"""Limits in a table, by the room that there is."""

from __future__ import annotations

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.limit_tables import limit_table

PACKS = pb.LimitStatus(limit="monthly", amount=100, used=60, carried=60, packs_left=60)
NO_PACKS = pb.LimitStatus(limit="monthly", amount=100, used=60)


@pytest.mark.parametrize(
    ("columns", "status", "has_share"),
    [
        pytest.param("80", PACKS, False, id="narrow, with packs: the numbers need the room"),
        pytest.param("80", NO_PACKS, True, id="narrow, without"),
        pytest.param("120", PACKS, True, id="wide"),
    ],
)
def test_the_share_gives_way_on_a_narrow_terminal(
    columns: str,
    status: pb.LimitStatus,
    has_share: bool,
    on_terminal: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    titles, (row,) = limit_table([status])
    assert has_share == ("share" in titles)
    assert len(titles) == len(row)
    assert "carried" not in titles
