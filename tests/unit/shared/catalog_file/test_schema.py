"""The published JSON Schema: valid itself, and no stricter or laxer than what is documented."""

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sidecar.domain.bounds import (
    ADD_ON_RANK_MAX,
    INT64_MAX,
    ROLLOVER_PERCENT_MAX,
    ROLLOVER_WINDOWS_MAX,
)
from sidecar.domain.catalog.model import (
    DEFAULT_WARNING_PERCENTS,
    Across,
    Enforcement,
    FailPolicy,
    FeatureKind,
    Limit,
    Merge,
    Rollover,
)
from sidecar.domain.time.windows import INTERVAL_MAX, WindowSpec, WindowUnit
from sidecar.shared.catalog_file import yaml_tree
from sidecar.shared.catalog_file.schema import schema_text
from tests.unit.shared.catalog_file.sample import FULL_SAMPLE, SAMPLE


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(schema_text())


def test_the_schema_is_a_valid_one_of_its_draft(schema: Any) -> None:
    Draft202012Validator.check_schema(schema)

    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]


@pytest.mark.parametrize("sample", [SAMPLE, FULL_SAMPLE])
def test_the_samples_fit_it(schema: Any, sample: str) -> None:
    tree, _ = yaml_tree.parse(sample)

    assert [] == list(Draft202012Validator(schema).iter_errors(yaml_tree.plain(tree)))


@pytest.mark.parametrize("sample", [SAMPLE, FULL_SAMPLE])
def test_an_editor_that_reads_yaml_1_1_agrees_on_the_samples(schema: Any, sample: str) -> None:
    class TextTimes(yaml.SafeLoader):
        """Leaves times as texts, as editors do."""

    TextTimes.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith("timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    data = yaml.load(sample, Loader=TextTimes)

    assert [] == list(Draft202012Validator(schema).iter_errors(data))


def test_it_names_what_the_domain_knows(schema: Any) -> None:
    limit = schema["$defs"]["limit_fields"]["properties"]

    # What a LEVEL feature's limits are of goes without saying.
    units = [unit.name.lower() for unit in WindowUnit if unit is not WindowUnit.LEVEL]
    assert units == limit["per"]["properties"]["unit"]["enum"]
    assert INTERVAL_MAX == limit["per"]["properties"]["interval"]["maximum"]
    assert INT64_MAX == limit["amount"]["maximum"]
    assert [how.name.lower() for how in Enforcement] == limit["enforcement"]["enum"]
    assert [how.name.lower() for how in Across] == limit["across"]["enum"]
    assert list(DEFAULT_WARNING_PERCENTS) == limit["warn_at"]["default"]
    rollover = limit["rollover"]["properties"]
    assert ROLLOVER_WINDOWS_MAX == rollover["windows"]["maximum"]
    assert ROLLOVER_PERCENT_MAX == rollover["percent"]["maximum"]
    assert INT64_MAX == schema["$defs"]["quantity"]["maximum"]
    kinds = schema["$defs"]["feature"]["properties"]["kind"]["enum"]
    assert [kind.name.lower() for kind in FeatureKind] == kinds
    add_on = schema["$defs"]["add_on"]["properties"]
    assert [-ADD_ON_RANK_MAX, ADD_ON_RANK_MAX] == [
        add_on["rank"]["minimum"],
        add_on["rank"]["maximum"],
    ]
    merge = schema["$defs"]["add_on_grant"]["properties"]["merge"]["enum"]
    assert [how.name.lower() for how in Merge] == merge


def test_its_defaults_are_those_of_the_domain(schema: Any) -> None:
    fail = schema["$defs"]["feature"]["properties"]["fail"]["properties"]
    policy = FailPolicy()
    assert [action.name.lower() for action in (policy.no_snapshot, policy.stale)] == [
        fail["no_snapshot"]["default"],
        fail["stale"]["default"],
    ]
    assert policy.outbox_full.name.lower() == fail["outbox_full"]["default"]
    assert policy.no_lease.name.lower() == fail["no_lease"]["default"]
    across = schema["$defs"]["limit_fields"]["properties"]["across"]
    assert Limit("any", WindowSpec(WindowUnit.DAY)).across.name.lower() == across["default"]
    rollover = schema["$defs"]["limit_fields"]["properties"]["rollover"]["properties"]
    assert Rollover().windows == rollover["windows"]["default"]


def test_every_field_of_an_object_is_described(schema: Any) -> None:
    silent = [
        f"{name}.{field}"
        for name, definition in schema["$defs"].items()
        for field, rule in definition.get("properties", {}).items()
        if "description" not in rule and "$ref" not in rule
    ]

    assert [] == silent
