"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sidecar.traces.access_log import parse_access_log
from sidecar.traces.azure_llm import AzureLlmParser
from sidecar.traces.jsonl import parse_jsonl
from sidecar.traces.model import LineParser

COMPANIES_DEFAULT: Final = 10

FORMATS: Final[Mapping[str, Callable[[int], LineParser]]] = {
    "azure-llm": AzureLlmParser,
    "access-log": lambda companies: parse_access_log,
    "jsonl": lambda companies: parse_jsonl,
}
"""Makes the parser for one pass over a file, given the number of companies to spread rows over."""
