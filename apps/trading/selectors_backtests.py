"""Reading backtests and strategies."""

from __future__ import annotations

import gzip
import importlib
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db.models import QuerySet

from apps.core.errors import NotFound, Unavailable
from apps.trading.models.backtests import Backtest, BacktestKind, BacktestState
from apps.trading.rows_backtests import backtest_row
from workers.engine.strategy import StrategyError, names

SNAPSHOT_ROWS: Final = 100
DATA_NAMES: Final = 200
LOOKED_AT: Final = 2000
USED_LATELY: Final = 500
_BARS: Final = (".csv", ".csv.gz", ".parquet", ".feather")


def backtests(*, trials: bool = False) -> QuerySet[Backtest]:
    """Runs and searches, newest first; trials of searches only when asked for."""
    found = Backtest.objects.defer("sheet")
    return found if trials else found.exclude(kind=BacktestKind.TRIAL)


def get_backtest(run_id: UUID | str) -> Backtest:
    """One; NotFound."""
    run = Backtest.objects.defer("sheet").filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"there is no backtest {run_id}")
    return run


def trials_of(search_id: UUID | None) -> QuerySet[Backtest]:
    """Trials of a search by number."""
    return Backtest.objects.defer("sheet").filter(search_id=search_id).order_by("number")


def tear_sheet(run_id: UUID) -> bytes:
    """The HTML of a finished run; NotFound while there is none."""
    run = Backtest.objects.filter(pk=run_id).first()
    if run is None or run.state != BacktestState.DONE or not run.sheet:
        raise NotFound(f"backtest {run_id} has no tear sheet (yet)")
    return gzip.decompress(bytes(run.sheet))


def snapshot() -> list[tuple[str, dict[str, Any]]]:
    """What a new listener of the topic ``backtests`` starts from, oldest first."""
    return [(str(run.pk), backtest_row(run)) for run in reversed(backtests()[:SNAPSHOT_ROWS])]


def strategies() -> list[dict[str, Any]]:
    """Every registered strategy with its parameters; Unavailable names the file of one's own that cannot be used."""
    known_strategies()
    from workers.engine.strategies.catalog import catalog  # noqa: PLC0415 - see known_strategies

    return [msgspec.to_builtins(card) for card in catalog()]


def strategy_names() -> list[str]:
    """Names of the registered strategies; Unavailable as ``strategies``."""
    known_strategies()
    return sorted(names())


def known_strategies() -> None:
    """Make the strategies known to this process, at the first question about them.

    Not when this module is imported: a broken file in somebody's folder must not keep the web process from starting,
    for that is where people halt. Raises Unavailable.
    """
    try:
        importlib.import_module("workers.engine.strategies")
    except StrategyError as error:
        raise Unavailable(f"strategies cannot be loaded: {error}") from error


def data_names() -> list[str]:
    """What the workers can be asked to trade on: files of the data folder, and names that were used lately.

    ``DATA_NAMES`` of each at most, by name, after looking at ``LOOKED_AT`` entries of the folder; of more files, any
    can be asked for by its name.
    """
    root = Path(settings.GEKKO_DATA)
    entries = islice(_walk(root, ("bars", "ohlcv", "recordings")), LOOKED_AT)
    files = (path for path in entries if path.name.endswith(_BARS) or _recorded(path))
    found = [str(path.relative_to(root)) for path in islice(files, DATA_NAMES)]
    lately = backtests().order_by("-requested_at", "-id").values_list("data", flat=True)[:USED_LATELY]
    return sorted({*found, *sorted(set(lately))[:DATA_NAMES]})


def _walk(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    """Files below ``folders`` in the order of their names, without reading folders before their turn."""
    for folder in folders:
        for path, subfolders, files in os.walk(root / folder):
            subfolders.sort()
            yield from (Path(path, name) for name in sorted(files))


def _recorded(path: Path) -> bool:
    stem = path.name.removesuffix(".gz")
    return stem[-8:].isdigit() and stem[-9:-8] == "_"
