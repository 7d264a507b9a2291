"""Writes sidecar/api from the .proto files, or with --check reports where the two differ.

Run it with the project's own environment (`make proto`): the generator's version becomes the
oldest grpcio and protobuf that users can run, so it has to be the locked one.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTO_ROOT = Path(__file__).resolve().parent
PROJECT_ROOT = PROTO_ROOT.parent
API = Path("sidecar/api")
KINDS = ("*_pb2*.py", "*_pb2*.pyi", "__init__.py")
INIT_TEXT = '"""Generated from proto/ by `make proto`; never edited by hand."""\n'


class GenerationError(Exception):
    """protoc or one of its plugins refused the .proto files; it has printed why."""


def generate(target: Path) -> None:
    """Write the generated package below `target`, as `target`/sidecar/api/..."""
    protos = sorted(str(path) for path in PROTO_ROOT.rglob("*.proto"))
    if not protos:
        raise GenerationError("no .proto files below proto/")
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO_ROOT}",
            f"--proto_path={well_known}",
            *(_plugin(name) for name in ("mypy", "mypy_grpc")),
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *protos,
        ]
    )
    if status != 0:
        raise GenerationError(f"protoc ended with status {status}")
    for directory in _packages(target):
        (directory / "__init__.py").write_text(INIT_TEXT, encoding="utf-8")


def _plugin(name: str) -> str:
    """Name the plugin beside this interpreter: the environment need not be on the PATH."""
    program = f"protoc-gen-{name}"
    return f"--plugin={program}={Path(sys.executable).parent / program}"


def _packages(target: Path) -> list[Path]:
    api = target / API
    return [api, *sorted(path for path in api.rglob("*") if path.is_dir())]


def _files(root: Path) -> dict[Path, bytes]:
    """Return every generated file and package marker below `root`, by relative path."""
    api = root / API
    paths = (path for kind in KINDS for path in api.rglob(kind))
    return {path.relative_to(root): path.read_bytes() for path in paths}


def differences(fresh: Path, committed: Path) -> list[str]:
    """Return one line for each file that is missing, stale or left over in `committed`."""
    want, have = _files(fresh), _files(committed)
    lines = [f"{path}: missing" for path in want.keys() - have.keys()]
    lines += [f"{path}: left over, no .proto makes it" for path in have.keys() - want.keys()]
    lines += [f"{path}: stale" for path in want.keys() & have.keys() if want[path] != have[path]]
    return sorted(lines)


def install(fresh: Path, project: Path) -> None:
    """Make sidecar/api below `project` equal to the one below `fresh`."""
    want = _files(fresh)
    for path in _files(project).keys() - want.keys():
        (project / path).unlink()
    for path in want:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fresh / path, project / path)


def main() -> int:
    """Run from the command line; 1 if the generated code is stale or could not be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, report differences")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory)
        try:
            generate(fresh)
        except GenerationError as error:
            print(f"proto: {error}", file=sys.stderr)
            return 1
        if not check:
            install(fresh, PROJECT_ROOT)
            return 0
        stale = differences(fresh, PROJECT_ROOT)
    if stale:
        print("generated code differs from proto/; run `make proto`:", *stale, sep="\n  ")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
