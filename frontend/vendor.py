"""``python -m frontend.vendor``: put the browser libraries that npm installed where Django finds static files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
SOURCE: Final = HERE / "node_modules"
TARGET: Final = HERE / "static" / "vendor"
FILES: Final = {
    "plotly.js-cartesian-dist-min/plotly-cartesian.min.js": "plotly-cartesian.min.js",
    "plotly.js-cartesian-dist-min/LICENSE": "plotly-LICENSE.txt",
}


def copy(source: Path = SOURCE, target: Path = TARGET) -> list[Path]:
    """Copy every file; FileNotFoundError names the first that npm has not installed."""
    target.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(source / name, target / kept)) for name, kept in FILES.items()]


if __name__ == "__main__":
    try:
        copy()
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is missing; run: npm ci --prefix frontend")
