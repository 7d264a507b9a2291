"""The published JSON Schema: valid itself, and no stricter or laxer than what is documented."""

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sidecar.catalog import nodes
from sidecar.catalog.schema import schema_text
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog import DEFAULT_WARNING_PERCENTS, Enforcement, FeatureKind
from sidecar.domain.windows import INTERVAL_MAX, WindowUnit
from tests.unit.catalog.sample import SAMPLE


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(schema_text())


def test_the_schema_is_a_valid_one_of_its_draft(schema: Any) -> None:
    Draft202012Validator.check_schema(schema)

    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]


def test_the_sample_fits_it(schema: Any) -> None:
    tree, _ = nodes.parse(SAMPLE)

    assert [] == list(Draft202012Validator(schema).iter_errors(nodes.plain(tree)))


def test_an_editor_that_reads_yaml_1_1_agrees_on_the_sample(schema: Any) -> None:
    class TextTimes(yaml.SafeLoader):
        """Leaves times as texts, as editors do."""

    TextTimes.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith("timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    data = yaml.load(SAMPLE, Loader=TextTimes)

    assert [] == list(Draft202012Validator(schema).iter_errors(data))


def test_it_names_what_the_domain_knows(schema: Any) -> None:
    limit = schema["$defs"]["limit"]["properties"]

    assert [unit.name.lower() for unit in WindowUnit] == limit["per"]["properties"]["unit"]["enum"]
    assert INTERVAL_MAX == limit["per"]["properties"]["interval"]["maximum"]
    assert INT64_MAX == limit["amount"]["maximum"]
    assert [how.name.lower() for how in Enforcement] == limit["enforcement"]["enum"]
    assert list(DEFAULT_WARNING_PERCENTS) == limit["warn_at"]["default"]
    kinds = schema["$defs"]["feature"]["properties"]["kind"]["enum"]
    assert [kind.name.lower() for kind in FeatureKind] == kinds


def test_every_field_of_an_object_is_described(schema: Any) -> None:
    silent = [
        f"{name}.{field}"
        for name, definition in schema["$defs"].items()
        for field, rule in definition.get("properties", {}).items()
        if "description" not in rule and "$ref" not in rule
    ]

    assert [] == silent
