"""Strategies of one's own: every Python file of the folders that ``GEKKO_STRATEGIES`` names is run once.

A file that cannot be run, or registers nothing, is an error that names it: a strategy that is silently missing would be
found out only when it should trade. Files whose names begin with an underscore are left alone.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import zlib
from pathlib import Path
from traceback import extract_tb
from typing import Final

from workers.engine.strategy import StrategyError, names

VARIABLE: Final = "GEKKO_STRATEGIES"
PREFIX: Final = "gekko_user_strategies_"


def load_named() -> tuple[str, ...]:
    """Load what the environment names; return the names that were registered."""
    return load(os.environ.get(VARIABLE, ""))


def load(places: str) -> tuple[str, ...]:
    """Load files and folders, several separated as in PATH; StrategyError names the file that cannot be used."""
    before = set(names())
    for place in filter(None, places.split(os.pathsep)):
        path = Path(place).expanduser()
        if not path.exists():
            raise StrategyError(f"{VARIABLE} names {path}, which does not exist")
        files = [path] if path.is_file() else sorted(path.glob("[!_]*.py"))
        if not files:
            raise StrategyError(f"{VARIABLE} names {path}, which holds no Python file")
        for file in files:
            _run(file)
    return tuple(name for name in names() if name not in before)


def _run(file: Path) -> None:
    module_name = f"{PREFIX}{file.stem}_{zlib.crc32(str(file.resolve()).encode()):08x}"
    if module_name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise StrategyError(f"{file} is no Python file")
    known, module = names(), importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        line = next(
            (f" line {frame.lineno}" for frame in extract_tb(error.__traceback__) if frame.filename == str(file)), ""
        )
        raise StrategyError(f"{file}{line}: {type(error).__name__}: {error}") from error
    if names() == known:
        del sys.modules[module_name]
        raise StrategyError(f"{file} registers no strategy; decorate the class with @register(name, Params)")
