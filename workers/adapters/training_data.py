"""From the description of a training to its series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from workers.adapters import history
from workers.adapters.history import HistoryError, Series
from workers.adapters.past import Past
from workers.engine.forecast.config import NHitsConfig, TrainConfig
from workers.engine.forecast.windows import minimum_bars

ENOUGH_BARS = 4000
"""Bars over all series above which ``auto`` looks no further."""


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where series come from.

    ``venue`` asks klines of ``symbols``; ``csv`` and ``recording`` read ``path``; ``folder`` reads ``path``/ohlcv;
    ``sample`` is hourly EUR/USD. ``auto`` takes the venue's, adds the data folder's and then the sample's until
    there are enough bars.
    """

    kind: Literal["auto", "venue", "csv", "folder", "recording", "sample"] = "auto"
    symbols: tuple[str, ...] = ()
    interval: str = "1m"
    bars: int = 5000
    path: str = ""


class TrainSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``gekko.forecast.train`` is asked: the name in the registry, data, model and training."""

    name: str = "nhits"
    sources: tuple[Source, ...] = (Source(),)
    model: NHitsConfig = NHitsConfig()
    training: TrainConfig = TrainConfig()


def gather(spec: TrainSpec, *, venue_url: str, data_folder: Path, past: Past | None = None) -> list[Series]:
    """The series that ``spec`` names; HistoryError when a source has none, or when all are too short together.

    ``past`` is the home venue's where it does not speak Binance's protocol; otherwise ``venue_url`` is asked.
    """
    found = [series for source in spec.sources for series in _read(source, spec, past or venue_url, data_folder)]
    least = minimum_bars(spec.model, spec.training)
    usable = [series for series in found if len(series.closes) >= least]
    if not usable:
        longest = max((len(series.closes) for series in found), default=0)
        raise HistoryError(
            f"expected a series of at least {least} bars, the longest of {len(found)} has {longest}; "
            "ask for more bars, a shorter interval or another source"
        )
    return usable


def _read(source: Source, spec: TrainSpec, venue: str | Past, data_folder: Path) -> Sequence[Series]:
    path = Path(source.path)
    match source.kind:
        case "venue":
            return [_of_venue(venue, name, source) for name in source.symbols]
        case "csv":
            return [history.from_csv(path)]
        case "folder":
            return history.from_folder(path)
        case "recording":
            return [history.from_recording(path, source.interval)]
        case "sample":
            return [history.from_sample()]
        case "auto":
            return _auto(source, spec, venue, data_folder)


def _of_venue(venue: str | Past, name: str, source: Source) -> Series:
    if isinstance(venue, str):
        return history.from_venue(venue, name, source.interval, bars=source.bars)
    return history.from_past(venue, name, source.interval, bars=source.bars)


def _auto(source: Source, spec: TrainSpec, venue: str | Past, data_folder: Path) -> list[Series]:
    least = minimum_bars(spec.model, spec.training)
    found: list[Series] = []
    for kind, path in (("venue", ""), ("folder", str(data_folder)), ("sample", "")):
        if sum(len(series.closes) for series in found) >= ENOUGH_BARS:
            break
        asked = msgspec.structs.replace(source, kind=kind, path=path)
        try:
            more = _read(asked, spec, venue, data_folder)
        except HistoryError:
            continue
        found.extend(series for series in more if len(series.closes) >= least)
    return found
