"""Rules of usage from end to end: what a client reports is in the ledger as it was told."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, check, flush, ledger_lines

TOKYO: Final = "\u6771\u4eac\u3000\u793e"
PERSIAN: Final = "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
CATALOG: Final = f"""
features:
  calls: {{kind: metered}}
plans:
  pro:
    entitlements:
      calls: {{limits: {{soft: {{amount: 3, per: month, enforcement: soft}}}}}}
companies:
  "{TOKYO}": {{plan: pro, anchor: 2026-01-01T00:00:00Z}}
  "{PERSIAN}": {{plan: pro, anchor: 2026-01-01T00:00:00Z}}
"""


async def test_usage_of_a_company_never_heard_of_is_in_the_ledger_with_its_overage(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, CATALOG)
        async with Sidecar(tmp_path / "a", plane.address, fetch_timeout_ms=60_000) as sidecar:
            for company in (TOKYO, PERSIAN):
                request = pb.RecordUsageRequest(company=company, feature="calls", quantity=10)
                told = await sidecar.api.RecordUsage(request, timeout=HANG_SECONDS_MAX)
                assert (pb.REASON_ALLOWED, 7) == (told.decision.reason, told.decision.overage)
            assert "" == (await check(sidecar, TOKYO, "calls", 0)).record_id
            await flush(sidecar)
        for company in (TOKYO, PERSIAN):
            (line,) = await ledger_lines(plane, [company])
            assert (10, 7) == (line.quantity, line.overage)
