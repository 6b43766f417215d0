"""The quality gate: which market events may be believed, and why the others are not. Pure.

Every refusal has one ``Rejection`` and is counted. Prices are compared as integers wherever a threshold allows it;
returns are simple returns, ``p / reference - 1``.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import StrEnum
from statistics import median
from typing import Final, Generic, TypeVar

import msgspec

from workers.engine.events import BookDelta, TopOfBook, Trade
from workers.engine.market.anomaly import SizeConfig, SizeFilter

NS_PER_SECOND: Final = 1_000_000_000
BPS: Final = 10_000
MAX_MISSING_IDS: Final = 1024
NO_ID: Final = -1


class Anomaly(StrEnum):
    """What is believed and passed on, yet out of the ordinary."""

    SIZE = "SIZE"
    """A trade far larger than the market's usual ones."""


Priced = TypeVar("Priced", TopOfBook, Trade)


class Rejection(StrEnum):
    """Why a market event was refused."""

    SCHEMA = "SCHEMA"
    """Not the message it claims to be: a field missing, of another type, or contradicting another."""
    OFF_GRID = "OFF_GRID"
    """A price or quantity between two ticks or lots, or not a finite decimal."""
    NOT_POSITIVE = "NOT_POSITIVE"
    """A price or quantity of zero or below where there must be one."""
    CROSSED = "CROSSED"
    """Best bid at or above best ask."""
    STALE = "STALE"
    """Older on arrival than the age allowed, by the estimated offset of the venue's clock; or a quote without a time
    of its own while nothing timed says how old it is."""
    SPIKE = "SPIKE"
    """A jump that the following events did not confirm."""
    OUTSIDE_QUOTE = "OUTSIDE_QUOTE"
    """A trade too far outside the best bid and ask of its time."""
    DUPLICATE = "DUPLICATE"
    """An id that was taken before."""
    OUT_OF_ORDER = "OUT_OF_ORDER"
    """An id older than the newest one, that was not taken before."""
    GAP = "GAP"
    """Depth updates were lost: the book is void until the next snapshot."""
    BOOK_MISMATCH = "BOOK_MISMATCH"
    """The book rebuilt from updates differs from the exchange's own best bid and ask at the same update id."""
    LATE = "LATE"
    """A trade of a bar that is closed."""
    SESSION_CLOSED = "SESSION_CLOSED"
    """Data between two sessions of a venue that closes."""
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    """A stream that was not asked for."""


class QualityConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of the gate; the defaults suit liquid spot pairs."""

    max_age_ns: int = 5 * NS_PER_SECOND
    """A trade older than this on arrival is refused."""
    max_lag_ns: int = NS_PER_SECOND
    """A feed that runs further behind than this is not LIVE, as after our process was stopped for a while."""
    outside_quote_bps: int = 50
    """How far outside the best bid and ask a trade may print: a sweep takes more than one level."""
    quote_max_age_ns: int = 2 * NS_PER_SECOND
    """An older quote says nothing about a trade."""
    spike_sigmas: float = 12.0
    spike_floor_bps: int = 50
    """A smaller jump is never a spike, however quiet the market was."""
    spike_confirmations: int = 3
    """Events at the new level, the first included, that make a jump real."""
    spike_decay: float = 0.98
    offset_window_ns: int = 60 * NS_PER_SECOND
    sizes: SizeConfig = SizeConfig()


class SpikeFilter(Generic[Priced]):
    """Holds back a jump until following events confirm it.

    An event is suspect when its return from the last believed price exceeds ``max(k * sigma, floor)``, sigma being
    the root of the exponentially weighted mean of squared returns (RiskMetrics recursion with ``spike_decay``).
    Suspects are kept; when there are ``spike_confirmations`` of them in a row and their median absolute deviation is
    within the threshold, the move was real and all are released in order. An event back at the old level clears them.
    """

    __slots__ = ("_config", "_variance", "held", "reference")

    def __init__(self, config: QualityConfig) -> None:
        self._config = config
        self.held: list[tuple[int, Priced]] = []
        """Suspects, with their prices."""
        self._variance = 0.0
        self.reference = 0

    def reset(self) -> int:
        """Forget the past; returns how many suspects were thrown away."""
        thrown = len(self.held)
        self.held.clear()
        self._variance = 0.0
        self.reference = 0
        return thrown

    def take(self, price: int, event: Priced) -> tuple[tuple[Priced, ...], int]:
        """Pass ``event`` at ``price`` (any positive integer unit): events believed now, and how many were refused."""
        reference = self.reference
        if price == reference or not reference:
            # The most frequent case by far: an unchanged price confirms the old level and is no news for sigma.
            self.reference = price
            return (event,), self._drop_held()
        move = price - reference
        config = self._config
        if abs(move) * BPS > config.spike_floor_bps * reference:
            change = move / reference
            if change * change > config.spike_sigmas**2 * self._variance:
                return self._hold(price, event)
        self._learn(price)
        return (event,), self._drop_held()

    def _learn(self, price: int) -> None:
        change = price / self.reference - 1.0
        decay = self._config.spike_decay
        self._variance = decay * self._variance + (1.0 - decay) * change * change
        self.reference = price

    def _drop_held(self) -> int:
        if not self.held:
            return 0
        thrown = len(self.held)
        self.held.clear()
        return thrown

    def _hold(self, price: int, event: Priced) -> tuple[tuple[Priced, ...], int]:
        held, config = self.held, self._config
        held.append((price, event))
        if len(held) < config.spike_confirmations:
            return (), 0
        middle = median(price for price, _ in held)
        deviation = median(abs(price - middle) for price, _ in held)
        if deviation * BPS > config.spike_floor_bps * middle:
            held.pop(0)
            return (), 1
        released = tuple(event for _, event in held)
        held.clear()
        # The jump itself would blind the filter for long if it entered the variance: only the level moves.
        self.reference = int(middle)
        return released, 0


class ClockOffset:
    """Estimates how far our clock is ahead of the venue's, network delay included.

    The estimate is the minimum of (receive time - event time) over the last one to two windows, as in NTP's clock
    filter: the least delayed message carries the truest offset. Age on arrival is what exceeds that minimum.
    """

    __slots__ = ("_current", "_previous", "_window_end", "_window_ns")

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._window_end = 0
        self._current: int | None = None
        self._previous: int | None = None

    def reset(self) -> None:
        """Forget every observation."""
        self._window_end = 0
        self._current = self._previous = None

    def observe(self, ts_event: int, ts_recv: int) -> int:
        """Take one pair of times (ns); returns the age on arrival in ns, zero or more."""
        sample = ts_recv - ts_event
        if ts_recv >= self._window_end:
            self._previous = self._current if self._window_end else None
            self._current = sample
            self._window_end = ts_recv + self._window_ns
        elif self._current is None or sample < self._current:
            self._current = sample
        return sample - self.value

    @property
    def known(self) -> bool:
        """True after the first observation."""
        return self._current is not None

    @property
    def value(self) -> int:
        """Our clock minus the venue's plus the shortest delay of the network, in ns; 0 before any observation."""
        current, previous = self._current, self._previous
        if current is None:
            return 0
        return current if previous is None else min(current, previous)


class QualityGate:
    """Checks the events of one instrument; counters and the last refusal are for telemetry."""

    def __init__(self, config: QualityConfig) -> None:
        self.config = config
        self.counters: Counter[Rejection] = Counter()
        self.last_refusal = ""
        self.anomalies: Counter[Anomaly] = Counter()
        self.last_anomaly = ""
        self.missing_trades = 0
        self.clock = ClockOffset(config.offset_window_ns)
        self.lag_ns = 0
        """Age on arrival of the newest event that carries the venue's time."""
        self._trades: SpikeFilter[Trade] = SpikeFilter(config)
        self._tops: SpikeFilter[TopOfBook] = SpikeFilter(config)
        self._sizes = SizeFilter(config.sizes)
        self._last_trade_id = NO_ID
        self._last_top_id = NO_ID
        self._missing_ids: deque[int] = deque(maxlen=MAX_MISSING_IDS)

    def reconnect(self) -> None:
        """Forget ids and prices, which may have moved anywhere while nobody listened. The clocks are the same."""
        self._refuse_held(self._trades.reset() + self._tops.reset())
        self._last_trade_id = NO_ID
        self._last_top_id = NO_ID
        self._missing_ids.clear()

    def reset(self) -> None:
        """Forget what was learned: a new session may start at any price, id and time. Counters stay."""
        self.reconnect()
        self._sizes.reset()
        self.clock.reset()

    def reject(self, reason: Rejection, detail: str) -> None:
        """Count a refusal; also for refusals made outside, such as a frame that could not be decoded."""
        self.counters[reason] += 1
        self.last_refusal = f"{reason}: {detail}"

    def delta(self, delta: BookDelta) -> bool:
        """True unless the update contradicts itself; its levels are checked where they are applied."""
        if delta.first_id > delta.last_id:
            self.reject(Rejection.SCHEMA, f"expected first id <= last id, was {delta.first_id} > {delta.last_id}")
            return False
        self.lag_ns = self.clock.observe(delta.ts_event, delta.ts_recv)
        return True

    def ticker(self, top: TopOfBook) -> bool:
        """Check a best bid and ask sent by the exchange, but for spikes."""
        if top.update_id <= self._last_top_id:
            same = top.update_id == self._last_top_id
            reason = Rejection.DUPLICATE if same else Rejection.OUT_OF_ORDER
            self.reject(reason, f"update id {top.update_id} after {self._last_top_id}")
            return False
        if not self.quote(top):
            return False
        self._last_top_id = top.update_id
        return True

    def quote(self, top: TopOfBook) -> bool:
        """Check that both sides are there and not crossed."""
        if top.bid <= 0 or top.ask <= 0 or top.bid_lots <= 0 or top.ask_lots <= 0:
            self.reject(Rejection.NOT_POSITIVE, f"bid {top.bid_lots} @ {top.bid}, ask {top.ask_lots} @ {top.ask}")
            return False
        if top.bid >= top.ask:
            self.reject(Rejection.CROSSED, f"bid {top.bid} at or above ask {top.ask} at update {top.update_id}")
            return False
        return True

    def settle_top(self, top: TopOfBook) -> TopOfBook | None:
        """The newest quote to believe after seeing ``top``; None while a jump waits for confirmation."""
        price, tops = top.bid + top.ask, self._tops
        if price == tops.reference and not tops.held:
            return top
        believed, refused = tops.take(price, top)
        if refused:
            self._refuse_held(refused)
        return believed[-1] if believed else None

    def trade(self, trade: Trade, quote: TopOfBook | None) -> tuple[Trade, ...]:
        """Trades to believe after seeing ``trade``: it, none, or also earlier suspects that it confirms."""
        if not self._plausible(trade) or not self._in_sequence(trade.trade_id):
            return ()
        age = self.lag_ns = self.clock.observe(trade.ts_event, trade.ts_recv)
        if age > self.config.max_age_ns:
            self.reject(Rejection.STALE, f"trade {trade.trade_id} was {age} ns old on arrival")
            return ()
        if quote is not None and not self._near_quote(trade, quote):
            return ()
        believed, refused = self._trades.take(trade.price, trade)
        if refused:
            self._refuse_held(refused)
        for one in believed:
            score = self._sizes.take(one.lots)
            if score:
                self._flag_size(one, score)
        return believed

    def _flag_size(self, trade: Trade, score: float) -> None:
        self.anomalies[Anomaly.SIZE] += 1
        self.last_anomaly = f"trade {trade.trade_id} of {trade.lots} lots, {score:.1f} deviations above the usual"

    def _plausible(self, trade: Trade) -> bool:
        if trade.price > 0 and trade.lots > 0:
            return True
        self.reject(Rejection.NOT_POSITIVE, f"trade {trade.trade_id}: {trade.lots} @ {trade.price}")
        return False

    def _in_sequence(self, trade_id: int) -> bool:
        """Trade ids count up by one; a skipped id is noted, so that its late arrival is told from a duplicate."""
        last = self._last_trade_id
        if trade_id == last + 1 or last == NO_ID:
            self._last_trade_id = trade_id
            return True
        if trade_id > last:
            self.missing_trades += trade_id - last - 1
            self._missing_ids.extend(range(max(last + 1, trade_id - MAX_MISSING_IDS), trade_id))
            self._last_trade_id = trade_id
            return True
        reason = Rejection.OUT_OF_ORDER if trade_id in self._missing_ids else Rejection.DUPLICATE
        self.reject(reason, f"trade id {trade_id} after {last}")
        return False

    def _near_quote(self, trade: Trade, quote: TopOfBook) -> bool:
        if trade.ts_recv - quote.ts_recv > self.config.quote_max_age_ns:
            return True
        bps = self.config.outside_quote_bps
        price = trade.price * BPS
        if quote.bid * (BPS - bps) <= price <= quote.ask * (BPS + bps):
            return True
        self.reject(Rejection.OUTSIDE_QUOTE, f"trade {trade.trade_id} @ {trade.price}, quote {quote.bid}/{quote.ask}")
        return False

    def _refuse_held(self, count: int) -> None:
        if count:
            self.counters[Rejection.SPIKE] += count
            self.last_refusal = f"{Rejection.SPIKE}: {count} not confirmed"
