"""The import contracts in pyproject.toml catch what they are there to catch."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "api",
    "app",
    "cli",
    "client",
    "control",
    "demo",
    "directory",
    "domain",
    "engine",
    "front",
    "rpc",
    "shared",
    "shared/catalog_file",
    "shared/config",
    "shared/convert",
    "shared/host",
    "shared/ops",
    "sim",
    "storage",
    "sync",
    "traces",
    "watch",
)
ALLOWED = {
    "app": "import sidecar.front, sidecar.shared.ops, sidecar.rpc, sidecar.sync",
    "cli": "import sidecar.app, sidecar.control, sidecar.traces",
    "client": "import grpc, sidecar.api",
    "control": (
        "import grpc, sqlite3, sidecar.shared.catalog_file, sidecar.shared.convert,"
        " sidecar.shared.host, sidecar.shared.ops"
    ),
    "demo": "import sidecar.cli, sidecar.traces",
    "directory": "import sidecar.storage, sidecar.domain",
    "engine": "import sidecar.directory, sidecar.storage, sidecar.domain",
    "front": "import asyncio, hpack, sidecar.front.machine",
    "rpc": "import sidecar.shared.convert, sidecar.shared.host.context, sidecar.engine",
    "shared/catalog_file": "import sidecar.domain",
    "shared/convert": "import sidecar.api, sidecar.domain",
    "shared/host": "import grpc, sidecar.domain, sidecar.front, sidecar.shared.ops",
    "sim": "import sidecar.control, sidecar.engine, sidecar.sync",
    "storage": "import lmdb, sidecar.domain",
    "sync": "import asyncio, grpc, sidecar.api, sidecar.engine, sidecar.sync.machine",
    "traces": "import sidecar.shared.convert",
    "watch": "import sidecar.directory, sidecar.engine",
}


def contracts() -> list[dict[str, Any]]:
    """Return the contracts as they are written in pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return found


def broken_contracts(tree: Path, module: str, line: str) -> list[str]:
    """Return the contracts that import-linter finds broken once `module` has `line`."""
    package = tree / "sidecar"
    sources = {f"{room}/__init__": ALLOWED.get(room, "") for room in ROOMS}
    sources |= {"__init__": "", "sync/machine": "import sidecar.domain", "front/machine": ""}
    sources["shared/host/context"] = ""
    sources[module] = f"{sources[module]}\n{line}"
    for name, text in sources.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").write_text(f"{text}\n")
    program = Path(sys.executable).parent / "lint-imports"
    command = [str(program), "--no-cache", f"--config={ROOT / 'pyproject.toml'}"]
    answer = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    kept_or_broken = re.findall(r"^(.+) (KEPT|BROKEN)", answer.stdout, re.MULTILINE)
    assert len(contracts()) == len(kept_or_broken), answer.stdout + answer.stderr
    return sorted(name for name, state in kept_or_broken if state == "BROKEN")


def test_allowed_imports_keep_every_contract(tmp_path: Path) -> None:
    assert broken_contracts(tmp_path, "domain/__init__", "import dataclasses") == []


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("domain/__init__", "import sidecar.storage", "layers"),
        ("storage/__init__", "import sidecar.engine", "layers"),
        ("rpc/__init__", "import sidecar.sync", "layers"),
        ("sync/__init__", "import sidecar.rpc", "layers"),
        ("app/__init__", "import sidecar.cli", "layers"),
        ("directory/__init__", "import sidecar.engine", "layers"),
        ("engine/__init__", "import sidecar.watch", "layers"),
        ("shared/__init__", "import sidecar.storage", "layers"),
        ("cli/__init__", "import sidecar.demo", "layers"),
        ("traces/__init__", "import sidecar.cli", "layers"),
        ("domain/__init__", "import grpc.aio", "domain"),
        ("domain/__init__", "import asyncio", "domain"),
        ("domain/__init__", "import sidecar.api", "domain"),
        ("domain/__init__", "from google.protobuf import message", "domain"),
        ("engine/__init__", "import lmdb", "engine"),
        ("directory/__init__", "import sidecar.api", "engine"),
        ("storage/__init__", "import grpc", "storage"),
        ("sync/machine", "import asyncio", "machines"),
        ("sync/machine", "import sidecar.api", "machines"),
        ("front/__init__", "import sidecar.domain", "front"),
        ("front/__init__", "import grpc", "front"),
        ("front/__init__", "import sidecar.shared.host", "front"),
        ("front/machine", "import asyncio", "front-machine"),
        ("shared/catalog_file/__init__", "import sidecar.shared.config", "catalog"),
        ("shared/convert/__init__", "import sidecar.shared.ops", "convert"),
        ("watch/__init__", "import sidecar.shared.convert", "engine"),
        ("control/__init__", "import sidecar.storage", "control"),
        ("control/__init__", "import sidecar.shared.config", "control"),
        ("rpc/__init__", "import sidecar.control", "sidecar"),
        ("app/__init__", "import sidecar.control", "sidecar"),
        ("engine/__init__", "import sidecar.control", "sidecar"),
        ("control/__init__", "import sidecar.traces", "control"),
        ("shared/config/__init__", "import sidecar.control", "sidecar"),
        ("client/__init__", "import sidecar.domain", "client"),
        ("shared/host/__init__", "import sidecar.engine", "host"),
        ("shared/host/__init__", "import sidecar.shared.convert", "host"),
        ("rpc/__init__", "import grpc", "methods"),
        ("rpc/__init__", "import sidecar.front", "methods"),
        ("shared/convert/__init__", "import grpc", "convert"),
        ("sim/__init__", "import grpc", "sim"),
        ("sim/__init__", "import sidecar.shared.config", "sim"),
        ("sim/__init__", "import sidecar.cli", "layers"),
    ],
)
def test_forbidden_import_breaks_its_contract(
    tmp_path: Path, module: str, line: str, contract: str
) -> None:
    names = {item["id"]: item["name"] for item in contracts()}

    assert names[contract] in broken_contracts(tmp_path, module, line)


def test_every_room_of_the_package_is_under_contract() -> None:
    package = ROOT / "sidecar"
    files = [*package.glob("*/__init__.py"), *package.glob("shared/*/__init__.py")]
    rooms = {path.parent.relative_to(package).as_posix() for path in files}

    assert rooms - set(ROOMS) == set()


def test_every_state_machine_is_under_contract() -> None:
    machines = {path.stem for path in (ROOT / "sidecar" / "sync").glob("machine*")}
    (contract,) = (item for item in contracts() if item["id"] == "machines")
    guarded = {name.removeprefix("*.sync.") for name in contract["source_modules"]}

    assert machines - guarded == set()
