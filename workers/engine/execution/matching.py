"""Price-time matching of one account's orders against a replayed market.

Replay mode: the market that comes in does not react to our orders, and our orders are seen by nobody. What keeps this
honest is that nothing is given that the market did not show:

* a marketable order walks the displayed book, and what it takes cannot be taken again (``matching_book``);
* a resting order starts behind all that is displayed at its price. Trades at the price serve those ahead first; the
  depth feed can only shorten the queue (a level of 20 lots has at most 20 ahead), and a deleted level empties it;
* a trade through the price, or the other side being displayed at or through it, fills it at its own price, never for
  more than was traded or displayed.
* a stop waits unseen for a trade of the market at or beyond its trigger, and enters then as what it is.

Pure: time is passed in, numbers are integers, the same inputs give the same reports.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from workers.engine.events import BookDelta, BookSnapshot, TopOfBook, Trade
from workers.engine.execution.matching_balances import Balances
from workers.engine.execution.matching_book import BookSide
from workers.engine.execution.matching_types import (
    UNQUEUED,
    Accepted,
    Ended,
    EndReason,
    Filled,
    NewOrder,
    Refusal,
    Refused,
    Reports,
    SelfTrade,
    Triggered,
    VenueOrder,
)
from workers.engine.instruments import MONEY_PER_ATOM, GridError, Instrument
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


class Pit:
    """One instrument: the displayed book, our resting orders by priority, and whether it is open."""

    def __init__(self, instrument: Instrument) -> None:
        if instrument.lot_value % MONEY_PER_ATOM:
            raise GridError(f"expected tick times lot in whole atoms of {instrument.quote} ({instrument.symbol})")
        self.instrument = instrument
        self.quote_atoms = instrument.lot_value // MONEY_PER_ATOM
        self.maker_fee = Fraction(instrument.maker_fee)
        self.taker_fee = Fraction(instrument.taker_fee)
        self.book = {Side.BUY: BookSide(Side.BUY), Side.SELL: BookSide(Side.SELL)}
        self.resting: dict[Side, list[VenueOrder]] = {Side.BUY: [], Side.SELL: []}
        self.stops: list[VenueOrder] = []
        """Stops that wait, oldest first."""
        self.last = 0
        """Price of the last trade seen, 0 for none."""
        self.open = False
        self.top: TopOfBook | None = None


def _priority(order: VenueOrder) -> tuple[int, int]:
    """Better price first, then the older order."""
    return (-order.price * order.side, order.order_id)


def _open_in(market: Pit) -> Iterator[VenueOrder]:
    yield from market.stops
    for orders in market.resting.values():
        yield from orders


class MatchingEngine:
    """Orders, trades and balances of one account on one venue."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balances: Mapping[str, int],
        *,
        next_order_id: int = 1,
        next_trade_id: int = 1,
    ) -> None:
        self._markets = {i.symbol: Pit(i) for i in instruments}
        self.balances = Balances(balances)
        self.orders: dict[int, VenueOrder] = {}
        self._by_client: dict[str, int] = {}
        self._next_order_id = next_order_id
        self._next_trade_id = next_trade_id

    # --- the account's commands

    def submit(self, new: NewOrder, now: int) -> list[Reports]:
        """Take an order and match it. The first report is Accepted or Refused."""
        market = self._markets.get(new.symbol)
        refusal = self._refusal(market, new)
        if market is None or refusal is not None:
            code, detail = refusal or (Refusal.UNKNOWN_SYMBOL, new.symbol)
            return [Refused(ts=now, client_id=new.client_id, refusal=code, detail=detail)]
        order = self._enter(market, new, now)
        reports: list[Reports] = [Accepted(ts=now, order=order)]
        if order.waits:
            market.stops.append(order)
        else:
            self._match(market, order, now, reports)
        return reports

    def _match(self, market: Pit, order: VenueOrder, now: int, reports: list[Reports]) -> None:
        if order.tif is not TimeInForce.FOK or self._fillable(market, order) >= order.lots:
            self._take(market, order, now, reports)
        self._settle_remainder(market, order, now, reports)

    def cancel(self, order_id: int, now: int) -> list[Reports]:
        """End an open order; Refused when there is none with this id."""
        order = self.orders.get(order_id)
        if order is None or not order.status.is_open:
            detail = "unknown order" if order is None else f"order is {order.status}"
            return [Refused(ts=now, client_id="", refusal=Refusal.UNKNOWN_ORDER, detail=detail)]
        return [self._end(order, OrderStatus.CANCELED, EndReason.CANCELED, now)]

    def replace(self, order_id: int, new: NewOrder, now: int) -> list[Reports]:
        """Cancel, then place ``new`` at the back of its queue; nothing is placed when the cancel is refused."""
        reports = self.cancel(order_id, now)
        return reports if isinstance(reports[0], Refused) else [*reports, *self.submit(new, now)]

    def find(self, client_id: str) -> VenueOrder | None:
        """The order with this client id, open or over."""
        order_id = self._by_client.get(client_id)
        return None if order_id is None else self.orders[order_id]

    def open_orders(self, symbol: str | None = None) -> list[VenueOrder]:
        """Resting orders and waiting stops in order of age."""
        markets = self._markets.values() if symbol is None else [self._markets[symbol]]
        return sorted((o for m in markets for o in _open_in(m)), key=lambda o: o.order_id)

    def restore(self, order: VenueOrder) -> None:
        """Put back an order of an earlier process; an open one waits at the back of the queue for the next snapshot."""
        self.orders[order.order_id] = order
        self._by_client[order.client_id] = order.order_id
        self._next_order_id = max(self._next_order_id, order.order_id + 1)
        if order.status.is_open:
            market = self._markets[order.symbol]
            asset, amount = self._held(market, order.side, order.price, order.leaves)
            self.balances.lock(asset, amount)
            if order.waits:
                market.stops.append(order)
                return
            order.ahead = UNQUEUED
            insort(market.resting[order.side], order, key=_priority)

    # --- the market

    def on_snapshot(self, event: BookSnapshot) -> list[Reports]:
        """Open the instrument with this book, or resynchronise it."""
        market = self._markets[event.symbol]
        market.book[Side.BUY].load(event.bids)
        market.book[Side.SELL].load(event.asks)
        market.open, market.top = True, None
        for side, orders in market.resting.items():
            for order in orders:
                shown = market.book[side].displayed(order.price)
                order.ahead = shown if order.ahead == UNQUEUED else min(order.ahead, shown)
        return self._cross(market, event.ts_event)

    def on_delta(self, event: BookDelta) -> list[Reports]:
        """Apply changed levels; queues shorten, and orders that the other side now reaches are filled."""
        market = self._markets[event.symbol]
        for side, levels in ((Side.BUY, event.bids), (Side.SELL, event.asks)):
            book = market.book[side]
            for price, lots in levels:
                book.set(price, lots)
            if market.resting[side]:
                self._shorten(market, side, dict(levels))
        if market.top is not None and market.top.update_id > event.last_id:
            self._show_top(market, market.top)
        return self._cross(market, event.ts_event)

    def on_top(self, event: TopOfBook) -> list[Reports]:
        """Apply a best bid and offer that is newer than the last depth change."""
        market = self._markets[event.symbol]
        market.top = event
        self._show_top(market, event)
        return self._cross(market, event.ts_event)

    def on_trade(self, event: Trade) -> list[Reports]:
        """Serve the queue that the aggressor hit, then trigger the stops that the price reaches."""
        market = self._markets[event.symbol]
        market.last = event.price
        reports: list[Reports] = []
        if market.open and market.resting[_OTHER[event.aggressor]]:
            reports = self._serve(market, event)
        if market.open and market.stops:
            self._trigger(market, event, reports)
        return reports

    def _trigger(self, market: Pit, event: Trade, reports: list[Reports]) -> None:
        for order in [stop for stop in market.stops if (event.price - stop.trigger) * stop.side >= 0]:
            market.stops.remove(order)
            order.triggered = order.updated = event.ts_event
            reports.append(Triggered(ts=event.ts_event, order=order))
            asset, needed = self._needed(market, order)
            if not order.locks and needed > self.balances.free(asset):
                reports.append(self._end(order, OrderStatus.EXPIRED, EndReason.INSUFFICIENT_BALANCE, event.ts_event))
                continue
            self._match(market, order, event.ts_event, reports)

    def _serve(self, market: Pit, event: Trade) -> list[Reports]:
        side = _OTHER[event.aggressor]
        reports: list[Reports] = []
        left, served = event.lots, 0
        for order in list(market.resting[side]):
            if (order.price - event.price) * side < 0:
                break
            if order.price != event.price:
                order.ahead = 0
            passed = min(max(order.ahead - served, 0), left)
            served, left = served + passed, left - passed
            fill = min(order.leaves, left)
            if fill > 0:
                left -= fill
                reports.append(self._fill(market, order, fill, order.price, event.ts_event, maker=True))
        for order in market.resting[side]:
            if order.price == event.price:
                order.ahead = max(order.ahead - served, 0)
        return reports

    def close(self, symbol: str, now: int) -> list[Reports]:
        """End the session: resting orders expire, the book is forgotten, new orders are refused."""
        market = self._markets[symbol]
        market.open, market.top = False, None
        market.last = 0
        orders = self.open_orders(symbol)
        reports: list[Reports] = [self._end(o, OrderStatus.EXPIRED, EndReason.SESSION_BREAK, now) for o in orders]
        for book in market.book.values():
            book.clear()
        return reports

    def book(self, symbol: str, side: Side) -> BookSide:
        """The displayed levels of one side, for reading."""
        return self._markets[symbol].book[side]

    # --- checks

    def _refusal(self, market: Pit | None, new: NewOrder) -> tuple[Refusal, str] | None:
        if market is None:
            return Refusal.UNKNOWN_SYMBOL, new.symbol
        return self._filter_refusal(market, new) or self._state_refusal(market, new)

    def _filter_refusal(self, market: Pit, new: NewOrder) -> tuple[Refusal, str] | None:
        instrument = market.instrument
        if not instrument.min_lots <= new.lots <= instrument.max_lots:
            return Refusal.LOT_SIZE, f"{new.lots} lots not within {instrument.min_lots}..{instrument.max_lots}"
        if (minimum := self._minimum_refusal(new)) is not None:
            return minimum
        if (new.price > 0) is (new.order_type is OrderType.MARKET) or new.price < 0:
            return Refusal.PRICE_FILTER, f"price of {new.price} ticks on a {new.order_type} order"
        if new.trigger < 0 or (new.trigger and new.order_type is OrderType.LIMIT_MAKER):
            return Refusal.PRICE_FILTER, f"trigger of {new.trigger} ticks on a {new.order_type} order"
        price = new.price or new.trigger or market.book[_OTHER[new.side]].best
        if price and price * new.lots * instrument.lot_value < instrument.min_notional_money:
            return Refusal.NOTIONAL, f"{price} ticks * {new.lots} lots is below {instrument.min_notional}"
        return None

    def _minimum_refusal(self, new: NewOrder) -> tuple[Refusal, str] | None:
        if new.min_lots:
            return Refusal.MIN_QUANTITY, f"minimum of {new.min_lots} lots where the book is shown"
        return None

    def _state_refusal(self, market: Pit, new: NewOrder) -> tuple[Refusal, str] | None:
        if new.client_id in self._by_client:
            return Refusal.DUPLICATE_CLIENT_ID, new.client_id
        if not market.open:
            return Refusal.MARKET_CLOSED, new.symbol
        if new.order_type is OrderType.LIMIT_MAKER and self._would_take(market, new):
            return Refusal.WOULD_TAKE, f"price of {new.price} ticks meets the other side"
        if new.trigger and market.last and (market.last - new.trigger) * new.side >= 0:
            return Refusal.TRIGGER_REACHED, f"last trade at {market.last} ticks, trigger {new.trigger}"
        return self._balance_refusal(market, new)

    def _balance_refusal(self, market: Pit, new: NewOrder) -> tuple[Refusal, str] | None:
        if new.trigger and not new.price and new.side is Side.BUY:
            # What it costs is known when it is triggered.
            return None
        asset, needed = self._needed(market, new)
        if needed > self.balances.free(asset):
            return Refusal.INSUFFICIENT_BALANCE, f"needs {needed} atoms of {asset}, free {self.balances.free(asset)}"
        return None

    def _would_take(self, market: Pit, new: NewOrder) -> bool:
        other = _OTHER[new.side]
        best = market.book[other].best
        own = market.resting[other][0].price if market.resting[other] else 0
        return any(price and (new.price - price) * new.side >= 0 for price in (best, own))

    def _needed(self, market: Pit, new: NewOrder | VenueOrder) -> tuple[str, int]:
        """Asset and atoms that the order can cost at most; a market buy costs what the walk would pay."""
        if new.side is Side.BUY and new.order_type is OrderType.MARKET:
            left, cost = new.lots, 0
            for price, lots in market.book[Side.SELL].walk():
                part = min(left, lots)
                cost, left = cost + part * price, left - part
                if not left:
                    break
            return market.instrument.quote, cost * market.quote_atoms
        return self._held(market, new.side, new.price, new.lots)

    def _held(self, market: Pit, side: Side, price: int, lots: int) -> tuple[str, int]:
        if side is Side.BUY:
            return market.instrument.quote, price * lots * market.quote_atoms
        return market.instrument.base, lots * market.instrument.lot_atoms

    def _fillable(self, market: Pit, new: VenueOrder) -> int:
        """Lots within the limit, up to our own order that self-trade prevention would stop at."""
        other = _OTHER[new.side]
        own = market.resting[other][0] if market.resting[other] else None
        stop = own is not None and new.self_trade is not SelfTrade.EXPIRE_MAKER
        total = 0
        for price, lots in market.book[other].walk(new.price):
            if stop and own is not None and (price - own.price) * new.side >= 0:
                break
            total += lots
            if total >= new.lots:
                break
        return total

    # --- matching

    def _enter(self, market: Pit, new: NewOrder, now: int) -> VenueOrder:
        order = VenueOrder(
            order_id=self._next_order_id,
            client_id=new.client_id,
            symbol=new.symbol,
            side=new.side,
            order_type=new.order_type,
            tif=new.tif,
            lots=new.lots,
            price=new.price,
            self_trade=new.self_trade,
            min_lots=new.min_lots,
            trigger=new.trigger,
            created=now,
            updated=now,
        )
        self._next_order_id += 1
        self.orders[order.order_id] = order
        self._by_client[order.client_id] = order.order_id
        if order.locks:
            asset, amount = self._held(market, order.side, order.price, order.lots)
            self.balances.lock(asset, amount)
        return order

    def _take(self, market: Pit, order: VenueOrder, now: int, reports: list[Reports]) -> None:
        other = _OTHER[order.side]
        book = market.book[other]
        for price, available in book.walk(order.price):
            if not self._prevent(market, order, price, now, reports):
                return
            lots = min(order.leaves, available)
            book.take(price, lots)
            reports.append(self._fill(market, order, lots, price, now, maker=False))
            if not order.leaves:
                return
        if order.price:
            self._prevent(market, order, order.price, now, reports)

    def _prevent(self, market: Pit, order: VenueOrder, price: int, now: int, reports: list[Reports]) -> bool:
        """Expire what would trade with ourselves at or before ``price``; False when the taker ended."""
        resting = market.resting[_OTHER[order.side]]
        while resting and (price - resting[0].price) * order.side >= 0:
            if order.self_trade is not SelfTrade.EXPIRE_TAKER:
                reports.append(self._end(resting[0], OrderStatus.EXPIRED, EndReason.SELF_TRADE, now))
            if order.self_trade is not SelfTrade.EXPIRE_MAKER:
                reports.append(self._end(order, OrderStatus.EXPIRED, EndReason.SELF_TRADE, now))
                return False
        return True

    def _settle_remainder(self, market: Pit, order: VenueOrder, now: int, reports: list[Reports]) -> None:
        if not order.status.is_open:
            return
        if order.order_type is OrderType.MARKET or order.tif is not TimeInForce.GTC:
            reports.append(self._end(order, OrderStatus.EXPIRED, EndReason.UNFILLED, now))
            return
        order.ahead = market.book[order.side].displayed(order.price)
        insort(market.resting[order.side], order, key=_priority)

    def _cross(self, market: Pit, now: int) -> list[Reports]:
        """Fill resting orders that the other side is displayed at or through, at their own price."""
        reports: list[Reports] = []
        for side, orders in market.resting.items():
            other = market.book[_OTHER[side]]
            while orders:
                order = orders[0]
                level = next(other.walk(order.price), None)
                if level is None:
                    break
                price, available = level
                lots = min(order.leaves, available)
                other.take(price, lots)
                reports.append(self._fill(market, order, lots, order.price, now, maker=True))
        return reports

    def _fill(self, market: Pit, order: VenueOrder, lots: int, price: int, now: int, *, maker: bool) -> Filled:
        fee, fee_asset = self._settle(market, order, lots, price, maker=maker)
        order.filled += lots
        order.money += price * lots * market.instrument.lot_value
        order.updated = now
        order.status = OrderStatus.PARTIALLY_FILLED if order.leaves else OrderStatus.FILLED
        if maker and not order.leaves:
            market.resting[order.side].remove(order)
        trade_id = self._next_trade_id
        self._next_trade_id += 1
        return Filled(
            ts=now,
            order=order,
            trade_id=trade_id,
            lots=lots,
            price=price,
            maker=maker,
            fee=fee,
            fee_asset=fee_asset,
            filled=order.filled,
            money=order.money,
        )

    def _settle(self, market: Pit, order: VenueOrder, lots: int, price: int, *, maker: bool) -> tuple[int, str]:
        """Move the assets of one execution; the fee is taken from what is received, rounded up to an atom."""
        base, quote = lots * market.instrument.lot_atoms, price * lots * market.quote_atoms
        rate = market.maker_fee if maker else market.taker_fee
        if order.side is Side.BUY:
            paid, cost, got, amount = market.instrument.quote, quote, market.instrument.base, base
        else:
            paid, cost, got, amount = market.instrument.base, base, market.instrument.quote, quote
        if order.locks:
            _, held = self._held(market, order.side, order.price, lots)
            self.balances.unlock(paid, held)
        self.balances.debit(paid, cost)
        fee = -(-amount * rate.numerator // rate.denominator)
        self.balances.credit(got, amount - fee)
        return fee, got

    def _end(self, order: VenueOrder, status: OrderStatus, reason: EndReason, now: int) -> Ended:
        market = self._markets[order.symbol]
        resting = market.resting[order.side]
        if order in resting:
            resting.remove(order)
        elif order in market.stops:
            market.stops.remove(order)
        if order.locks:
            asset, amount = self._held(market, order.side, order.price, order.leaves)
            self.balances.unlock(asset, amount)
        order.status, order.end_reason, order.updated = status, reason, now
        return Ended(ts=now, order=order, status=status, reason=reason)

    # --- queue and top

    def _shorten(self, market: Pit, side: Side, levels: Mapping[int, int]) -> None:
        for order in market.resting[side]:
            shown = levels.get(order.price)
            if shown is not None and order.ahead > shown:
                order.ahead = shown

    def _show_top(self, market: Pit, top: TopOfBook) -> None:
        for side, price, lots in ((Side.BUY, top.bid, top.bid_lots), (Side.SELL, top.ask, top.ask_lots)):
            if price > 0:
                market.book[side].set_best(price, lots)
