"""Compares the .proto files with the API that clients already rely on, without the network.

That API is the one of the newest release tag, when there is one and git knows it; in a tree
without tags (before the first release, a shallow clone, an unpacked archive) it is the image
proto/baseline.binpb, which `make proto-baseline` writes.
"""

import shutil
import subprocess
import sys
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
BASELINE = Path("proto/baseline.binpb")
BUF = Path(sys.executable).parent / "buf"


def newest_tag() -> str | None:
    """Return the newest release tag in the history of HEAD, if any."""
    git = shutil.which("git")
    if git is None or not (PROJECT_ROOT / ".git").exists():
        return None
    answer = subprocess.run(
        [git, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or None


def reference() -> str | None:
    """Return buf's name for the API to compare with, or None if there is none yet."""
    tag = newest_tag()
    if tag is not None:
        return f".git#tag={tag}"
    return str(BASELINE) if (PROJECT_ROOT / BASELINE).exists() else None


def main() -> int:
    """Run buf; its status, or 0 with a note if there is nothing to compare with."""
    against = reference()
    if against is None:
        print(f"buf breaking: SKIPPED, there is no release tag and no {BASELINE}")
        return 0
    print(f"buf breaking --against {against}", flush=True)
    return subprocess.run(
        [BUF, "breaking", "--against", against], cwd=PROJECT_ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
