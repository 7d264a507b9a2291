"""The check that generated code is fresh: what it reports, and what it leaves alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

_GENERATE = Path(__file__).parents[2] / "proto" / "generate.py"
_MODULE = Path("sidecar/api/sync/v1/sync_pb2.py")


@pytest.fixture(name="generate", scope="module")
def _generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", _GENERATE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tree(root: Path, *files: Path) -> Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {file.name}\n", encoding="utf-8")
    return root


def test_bytecode_of_generated_modules_is_no_generated_code(
    generate: ModuleType, tmp_path: Path
) -> None:
    fresh = _tree(tmp_path / "fresh", _MODULE)
    bytecode = _MODULE.parent / "__pycache__" / "sync_pb2.cpython-311.pyc"
    committed = _tree(tmp_path / "committed", _MODULE, bytecode)

    assert [] == generate.differences(fresh, committed)


@pytest.mark.parametrize("name", ["old_pb2.py", "old_pb2.pyi", "old_pb2_grpc.py", "__init__.py"])
def test_what_no_proto_makes_is_reported_whatever_its_kind(
    generate: ModuleType, tmp_path: Path, name: str
) -> None:
    fresh = _tree(tmp_path / "fresh", _MODULE)
    left_over = Path("sidecar/api/old") / name
    committed = _tree(tmp_path / "committed", _MODULE, left_over)

    assert [f"{left_over}: left over, no .proto makes it"] == generate.differences(fresh, committed)
