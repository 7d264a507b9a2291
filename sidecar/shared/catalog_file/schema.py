"""The JSON Schema of catalog files, `catalog.schema.json`."""

from __future__ import annotations

from importlib import resources


def schema_text() -> str:
    """Return the JSON Schema of catalog files, draft 2020-12, as text."""
    return (
        resources.files("sidecar.shared.catalog_file")
        .joinpath("catalog.schema.json")
        .read_text("utf-8")
    )
