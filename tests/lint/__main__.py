"""Checks the repository's files: `python -m tests.lint`, status 1 if anything is wrong."""

import sys
from pathlib import Path

from tests.lint.hygiene import check

offences = check(Path(__file__).resolve().parents[2])
for offence in offences:
    print(offence)
sys.exit(1 if offences else 0)
