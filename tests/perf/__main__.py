"""``make bench``: every measurement of the folder, one after another, with the machine's load beside each."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    wanted = sys.argv[1:] or [name.removeprefix("bench_") for name in NAMES]
    unknown = [name for name in wanted if f"bench_{name}" not in NAMES]
    if unknown:
        known = ", ".join(name.removeprefix("bench_") for name in NAMES)
        print(f"unknown measurement {', '.join(unknown)}; there are: {known}")
        return 2
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    failed = []
    for name in wanted:
        print(f"\n== {name}  (load {os.getloadavg()[0]:.1f})", flush=True)
        # A process each: Django and its servers are set up once in a process, and every measurement has its own.
        if subprocess.run([sys.executable, "-m", f"tests.perf.bench_{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
