"""Settings of one execution worker; times in seconds unless named otherwise."""

from __future__ import annotations

from pathlib import Path

import msgspec

SECOND_NS = 1_000_000_000


class VenueAccess(msgspec.Struct, frozen=True, kw_only=True):
    """One venue, and the account's keys there."""

    name: str
    url: str | None
    """Base of a paper venue that speaks the exchange's protocol; None for the exchange itself."""
    api_key: str
    api_secret: str
    symbols: tuple[str, ...] = ()
    """The venue's own symbols; empty: everything that it lists."""
    code: str = ""
    """Which venue it is, see ``dialects.code_of``; empty: a paper venue where ``url`` is given, else its name."""
    api_password: str = ""
    """The third part of a key, where a venue has one."""
    rest_url: str = ""
    """Address of the exchange's REST interface; empty: what its rules say."""
    stream_url: str = ""
    """Address of the exchange's streams; empty: what its rules say."""


class LoopConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where the loop trades and how patient it is."""

    venue: str
    worker: str
    journal_dir: Path
    venue_url: str | None
    """Base of a paper venue that speaks the exchange's protocol; None for the exchange itself."""
    api_key: str
    api_secret: str
    limits_key: bytes = b""
    """Public Ed25519 key that published limits are signed with; without it no limits are taken."""
    symbols: tuple[str, ...] = ()
    """Empty: everything that the venue lists."""
    code: str = ""
    """As in ``VenueAccess``, for the home venue; as are the next three."""
    api_password: str = ""
    rest_url: str = ""
    stream_url: str = ""
    live: bool = False
    """Orders may go to an exchange. Otherwise a venue that is one is refused before anything is connected."""
    others: tuple[VenueAccess, ...] = ()
    """Further venues of the account; what they list is known as ``symbol@name``."""
    bar_interval: str = ""
    """Binance's name of the bars to build, such as ``1s``; empty: what the venue says that it replays, else ``1m``."""
    order_timeout_s: float = 3.0
    tick_s: float = 0.05
    reconcile_every_s: float = 60.0
    retry_s: float = 2.0
    resolve_after_s: float = 5.0
    """An order that was sent and of which nothing was heard for so long is asked about."""
    venue_clock_slack_s: float = 1.0
    """How far the venue's clock may be wrong about a send deadline before an unknown order counts as not there."""
    undated_slack_s: float = 15.0
    """The same at a venue that takes no deadline: nothing there refuses a request that is late on its way."""
    snapshot_every: int = 50_000
    """Records between two snapshots of the journal's state, which a process beside this one takes; 0 for none."""
    drain_s: float = 5.0
    """How long a stopping worker waits for answers to orders on the wire."""

    @property
    def home(self) -> VenueAccess:
        """The venue that the account is named after."""
        return VenueAccess(
            name=self.venue,
            url=self.venue_url,
            api_key=self.api_key,
            api_secret=self.api_secret,
            symbols=self.symbols,
            code=self.code,
            api_password=self.api_password,
            rest_url=self.rest_url,
            stream_url=self.stream_url,
        )
