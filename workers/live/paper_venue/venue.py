"""The parts of the paper venue put together."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping

from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_hidden import Draw, HiddenLiquidity
from workers.engine.execution.matching_latency import LatencyModel
from workers.engine.execution.matching_midpoint import MidpointEngine
from workers.engine.instruments import Instrument, atoms
from workers.live.paper_venue.config import MarketKind, VenueConfig
from workers.live.paper_venue.dark import DarkMarket
from workers.live.paper_venue.desk import LISTEN_KEY_MS, Desk, recover
from workers.live.paper_venue.faults import Faults
from workers.live.paper_venue.hub import Hub
from workers.live.paper_venue.journal import Entry, Journal
from workers.live.paper_venue.limits import Window
from workers.live.paper_venue.market import Market
from workers.live.paper_venue.signing import Credentials


class Venue:
    """State of one venue; made inside a running event loop."""

    def __init__(
        self,
        config: VenueConfig,
        *,
        name: str,
        kind: MarketKind,
        label: str,
        bar_interval: str,
        instruments: Iterable[Instrument],
        draw: Draw | None = None,
        clock: Callable[[], int],
    ) -> None:
        """A ``draw`` makes it a dark venue."""
        self.config = config
        self.dark = draw is not None
        self.name = name
        self.kind = kind
        self.label = label
        self.bar_interval = bar_interval
        self.instruments = tuple(instruments)
        self.clock = clock
        self.hub = Hub()
        self.faults = Faults()
        self.credentials = Credentials(config.api_key, config.api_secret)
        self.weights = Window(config.weight_limit, 60_000)
        self.order_count = Window(config.order_limit, 10_000)
        self.latency = LatencyModel(
            seed=config.seed,
            constant_ns=round(config.latency_ms * 1e6),
            median_ns=round(config.latency_median_ms * 1e6),
            sigma=config.latency_sigma,
        )
        self.journal = Journal(config.state_dir / "venue.jsonl")
        self.lag_ns = 0
        self._down_until = 0
        self.requests: dict[tuple[str, int], int] = {}
        books = recover(self.journal.entries())
        genesis = self._genesis(books.balances)
        balances = books.balances | genesis
        next_trade = max((t.trade_id for t in books.trades), default=0) + 1
        self.engine = self._engine(draw, balances, next_trade)
        self.desk = Desk(
            self.engine, self.instruments, journal=self.journal, hub=self.hub, faults=self.faults, clock=clock
        )
        self.desk.restore(books, clock())
        self.market = self._market()
        self.sessions = books.session
        if genesis:
            self.journal.append(Entry(ts=clock(), genesis=genesis))

    def _engine(self, draw: Draw | None, balances: Mapping[str, int], next_trade: int) -> MatchingEngine:
        if draw is None:
            return MatchingEngine(self.instruments, balances, next_trade_id=next_trade)
        hidden = HiddenLiquidity(draw)
        return MidpointEngine(self.instruments, balances, hidden=hidden, next_trade_id=next_trade)

    def _market(self) -> Market:
        if isinstance(self.engine, MidpointEngine):
            return DarkMarket(self.engine, self.instruments, hub=self.hub, on_reports=self.desk.book)
        return Market(self.engine, self.instruments, hub=self.hub, on_reports=self.desk.book)

    def _genesis(self, known: dict[str, int]) -> dict[str, int]:
        """Start balances of assets that the account has never held."""
        wanted = {i.base: 0 for i in self.instruments}
        wanted |= {i.quote: atoms(self.config.start_quote, i.quote) for i in self.instruments}
        return {asset: amount for asset, amount in wanted.items() if asset not in known}

    @property
    def now_ms(self) -> int:
        """The venue's clock in ms."""
        return self.clock() // 1_000_000

    @property
    def down(self) -> bool:
        """Fault: True while every request is refused."""
        return self._down_until > 0 and self.clock() < self._down_until

    def take_faults(self) -> None:
        """Do what the faults ask for at once: an outage begins, websockets are cut."""
        faults = self.faults
        if faults.outage_ms:
            self._down_until, faults.outage_ms = self.clock() + faults.outage_ms * 1_000_000, 0
            faults.drop_websockets = True
        if faults.drop_websockets:
            faults.drop_websockets = False
            self.hub.drop_all()

    def next_session(self) -> int:
        """Number of a new session, logged so that it rises over restarts."""
        self.sessions += 1
        self.journal.append(Entry(ts=self.clock(), session=self.sessions))
        return self.sessions

    def new_listen_key(self) -> str:
        """Open a user data stream for an hour."""
        key = secrets.token_urlsafe(48).replace("-", "A").replace("_", "B")
        self.desk.listen_keys[key] = self.now_ms + LISTEN_KEY_MS
        return key

    def drop_stale_listen_keys(self) -> None:
        """Forget the streams that nobody kept alive."""
        now = self.now_ms
        for key in [k for k, until in self.desk.listen_keys.items() if until < now]:
            del self.desk.listen_keys[key]
