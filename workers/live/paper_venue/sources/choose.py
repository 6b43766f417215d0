"""Which market the venue plays: the one that is asked for, or the best that can be had."""

from __future__ import annotations

from workers.live.paper_venue.config import ConfigError, MarketKind, VenueConfig
from workers.live.paper_venue.sources import bars
from workers.live.paper_venue.sources.live import LiveSource
from workers.live.paper_venue.sources.recording import RecordingSource
from workers.live.paper_venue.sources.synthetic import SyntheticSource
from workers.live.paper_venue.wire import MarketSource

_RECORDINGS = ("recordings", "binance-spot")
_HISTORY = ("ohlcv", "btc-perp-*.csv.gz")


def choose(config: VenueConfig) -> MarketSource | LiveSource:
    """The source for the configured market; ``auto`` takes recording, live or sample, whichever is there first."""
    match config.market:
        case MarketKind.RECORDING:
            return _recording(config)
        case MarketKind.BARS:
            return _history(config)
        case MarketKind.LIVE:
            return LiveSource(config)
        case MarketKind.SAMPLE:
            return bars.sample(config)
        case MarketKind.SYNTHETIC:
            return SyntheticSource(config)
        case MarketKind.AUTO:
            return _best(config)


def _best(config: VenueConfig) -> MarketSource | LiveSource:
    if any(config.data_dir.joinpath(*_RECORDINGS).glob("*.gz")):
        return _recording(config)
    live = LiveSource(config)
    return live if live.reachable() else bars.sample(config)


def _recording(config: VenueConfig) -> RecordingSource:
    return RecordingSource(config.data_dir.joinpath(*_RECORDINGS), config)


def _history(config: VenueConfig) -> bars.BarSource:
    folder, pattern = _HISTORY
    found = sorted((config.data_dir / folder).glob(pattern))
    if not found:
        raise ConfigError(f"expected {pattern} in {config.data_dir / folder}, found none; set GEKKO_DATA")
    return bars.history(found[0], config)
