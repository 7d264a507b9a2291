"""Run a module under a profiler that is switched on and off from outside.

`python -m tests.bench.profiled OUTPUT MODULE ARGUMENT...` runs a module. SIGUSR1 begins to profile
its main thread, and makes OUTPUT; the next SIGUSR1 ends that, and fills OUTPUT for `pstats`. So
neither the start nor the stop is in the profile.
"""

from __future__ import annotations

import cProfile
import os
import runpy
import signal
import sys
from pathlib import Path


class Switch:
    """Handles the signal."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._profiler: cProfile.Profile | None = None

    def __call__(self, _number: int, _frame: object) -> None:
        if self._profiler is None:
            self._output.touch()
            self._profiler = cProfile.Profile()
            self._profiler.enable()
            return
        self._profiler.disable()
        whole = self._output.with_suffix(".part")
        self._profiler.dump_stats(whole)
        os.replace(whole, self._output)


def main() -> None:
    _, output, module, *arguments = sys.argv
    signal.signal(signal.SIGUSR1, Switch(Path(output)))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
