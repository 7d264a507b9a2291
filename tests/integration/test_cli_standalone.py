"""`tallyd sidecar --standalone` on catalog files, as a real process."""

from __future__ import annotations

import json
from pathlib import Path

from sidecar.cli.common import ExitCode
from tests.support.daemons import Standalone, refused
from tests.unit.cli.fakes import tallyd
from tests.unit.shared.catalog_file.sample import SAMPLE


async def test_a_catalog_file_is_all_that_a_standalone_sidecar_needs(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(SAMPLE)

    async with Standalone(tmp_path / "one", standalone=catalog) as sidecar:
        result = tallyd(
            *("check", "acme", "tokens", "-n", "100", "-d", "user=joe", "-d", "model=large"),
            *("--increment", "--json", "--sidecar", sidecar.address),
        )
        status = tallyd("status", "--sidecar", sidecar.address)

        assert ExitCode.OK == result.exit_code
        decision = json.loads(result.stdout)["decision"]
        assert {"limit": "monthly", "used": 100, "remaining": 0}.items() <= decision[
            "binding_limit"
        ].items()
        assert "control plane  none (standalone)\n" in status.stdout
        assert 0 == await sidecar.stop()


def test_a_broken_catalog_file_is_told_and_nothing_starts(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(SAMPLE.replace("amount: 100", "amount: -5"))

    status, said = refused(tmp_path, standalone=catalog)

    field = "plans.pro.entitlements.tokens.limits.monthly.amount"
    assert f"{catalog}:11:21: {field}: -5 is less than 0" in said
    assert ExitCode.FAILED == status
    assert not (tmp_path / "s.sock").exists()
