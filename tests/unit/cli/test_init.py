"""`tallyd init`: each of its catalogs can be sold as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.cli.common import ExitCode
from sidecar.cli.init import TEMPLATES, template_text
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.time.windows import WindowUnit
from sidecar.shared.catalog_file.load import load_catalog_file
from tests.unit.cli.fakes import tallyd


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_catalog_to_start_from_is_valid_as_it_was_written(tmp_path: Path, template: str) -> None:
    written = tallyd("init", str(tmp_path / "shop"), "--template", template)
    file = tmp_path / "shop" / "catalog.yaml"
    checked = tallyd("apply", "--check", str(file))

    assert (ExitCode.OK, ExitCode.OK) == (written.exit_code, checked.exit_code)
    assert written.stdout.startswith(f"wrote {file}, ")
    assert checked.stdout.startswith(f"{file} is good: ")
    assert "" == checked.stderr, "it warns of what is likely not meant so"


@pytest.mark.parametrize("template", TEMPLATES)
def test_nothing_in_it_is_for_nothing(tmp_path: Path, template: str) -> None:
    tallyd("init", str(tmp_path), "--template", template)
    sold = load_catalog_file(tmp_path / "catalog.yaml")
    subscriptions = [company.subscription for company in sold.companies if company.subscription]

    plans = sold.catalog.plans
    granted = {grant.feature for plan in plans for grant in plan.entitlements}
    granted |= {g.grant.feature for add_on in sold.catalog.add_ons for g in add_on.entitlements}
    assert {feature.key for feature in sold.catalog.features} == granted
    held = {subscription.plan for subscription in subscriptions} | {sold.catalog.default_plan}
    assert held <= {plan.key for plan in plans}
    assert len(subscriptions) >= 2
    assert {FeatureKind.METERED, FeatureKind.BOOLEAN, FeatureKind.CONFIG} == {
        feature.kind for feature in sold.catalog.features
    }


@pytest.mark.parametrize("template", ["ai", "saas"])
def test_it_shows_a_trial_a_pack_that_lasts_and_a_limit_per_request(
    tmp_path: Path, template: str
) -> None:
    tallyd("init", str(tmp_path), "--template", template)
    sold = load_catalog_file(tmp_path / "catalog.yaml")
    subscriptions = [company.subscription for company in sold.companies if company.subscription]
    limits = [
        limit
        for plan in sold.catalog.plans
        for grant in plan.entitlements
        for limit in grant.limits
    ]

    tried = {plan.key for plan in sold.catalog.plans if plan.trial is not None}
    assert tried & {each.plan for each in subscriptions if each.anchor_us is None}
    assert any(add_on.once for add_on in sold.catalog.add_ons)
    assert any(limit.window.unit is WindowUnit.REQUEST for limit in limits)


@pytest.mark.parametrize("template", TEMPLATES)
def test_its_lines_fit_and_most_of_it_is_explained(template: str) -> None:
    lines = template_text(template).splitlines()

    assert max(map(len, lines)) <= 110
    assert sum("#" in line for line in lines) * 5 >= len(lines)


def test_a_catalog_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text("precious")
    refused = tallyd("init", str(tmp_path))

    assert ExitCode.USAGE == refused.exit_code
    assert f"{tmp_path}/catalog.yaml exists (EXISTS)" in refused.stderr
    assert "precious" == (tmp_path / "catalog.yaml").read_text()


def test_it_says_in_json_what_it_wrote(tmp_path: Path) -> None:
    answer = json.loads(tallyd("init", str(tmp_path), "--template", "ai", "--json").stdout)

    assert {"file": f"{tmp_path}/catalog.yaml", "template": "ai"} == answer
