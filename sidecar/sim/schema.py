"""The JSON Schema of scenarios: `scenario.schema.json`, with what the catalog's schema defines."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from sidecar.domain.limits.reasons import Reason
from sidecar.shared.catalog_file.schema import schema_text as catalog_schema_text


def scenario_schema_text() -> str:
    """Return the JSON Schema of scenarios, draft 2020-12, as text, complete in itself."""
    file = resources.files("sidecar.sim").joinpath("scenario.schema.json")
    schema: dict[str, Any] = json.loads(file.read_text("utf-8"))
    catalog: dict[str, Any] = json.loads(catalog_schema_text())
    definitions = catalog["$defs"]
    schema["$defs"] = {
        **definitions,
        **schema["$defs"],
        "scenario_catalog": {
            "type": ["string", "object"],
            "errorMessage": "a path or a mapping",
            "required": ["features", "plans"],
            "additionalProperties": False,
            "patternProperties": catalog["patternProperties"],
            "properties": catalog["properties"],
        },
        "scenario_company": _with_type(definitions["company"], "string", "an id or a mapping"),
        "scenario_override": _with_type(definitions["override"], "null", "a value or a mapping"),
        "scenario_reason": {
            "description": "Why it is allowed or denied.",
            "enum": [reason.name for reason in Reason],
        },
    }
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def _with_type(definition: dict[str, Any], kind: str, told: str) -> dict[str, Any]:
    """The same for values of one more type."""
    types = definition["type"]
    known = types if isinstance(types, list) else [types]
    return {**definition, "type": [*known, kind], "errorMessage": told}
