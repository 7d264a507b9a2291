"""`python -m tests.soak --minutes 10`: ends with status 1 where something does not hold."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import soak


def main() -> int:
    """Run it, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(soak(Path(folder), arguments.minutes * 60, arguments.seed))
        except AssertionError as error:
            print(f"the soak failed: {error}", file=sys.stderr)
            return 1
    print("the soak held: ledger exact, memory flat, readiness true where checks are answered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
