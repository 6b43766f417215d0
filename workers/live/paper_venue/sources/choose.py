"""Which market the venue plays: the one that is asked for, or the best that can be had."""

from __future__ import annotations

from workers.live.paper_venue.config import ConfigError, MarketKind, VenueConfig
from workers.live.paper_venue.sources.recording import RecordingSource
from workers.live.paper_venue.wire import MarketSource

RECORDINGS = ("recordings", "binance-spot")


def choose(config: VenueConfig) -> MarketSource:
    """The source for the configured market."""
    if config.market in {MarketKind.RECORDING, MarketKind.AUTO}:
        return RecordingSource(config.data_dir.joinpath(*RECORDINGS), config)
    raise ConfigError(f"no source for market {config.market}")
