"""OANDA v20: orders, positions and the account over its REST interface. Source: OANDA v20 REST API documentation.

An account is a margin account in one currency. Buying EUR_USD moves no dollars: it opens a trade, and profit comes in
the account's currency when that is closed. The engine keeps books of spot: it pays for what it buys. Both say the same
where the quote is the account's currency, and other instruments are refused::

    spot cash == account balance - sum(units * opening price of the open trades)

So ``balances`` are that cash and the net position in each base. A fill's fee is what makes the identity hold through it
to the last atom: commission, financing that is paid when a trade is closed, and what the venue rounds. The financing of
a day moves the balance alone and comes as a settlement.

Our client id is ``clientExtensions.id``. OANDA keeps it unique among *pending* orders only: once an order is over its
id may be used again, so a repetition after a lost answer must always query first. There is no deadline at the venue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote as percent

import msgspec

from workers.adapters.http_venue import HttpVenue
from workers.adapters.oanda.messages import (
    STATES,
    Account,
    Created,
    Extensions,
    Instruments,
    OneOrder,
    OneTrade,
    Order,
    Orders,
    Positions,
    Refusal,
    Summary,
    Transaction,
    Transactions,
    instrument_of,
)
from workers.adapters.venue import (
    OrderNotFound,
    VenueError,
    VenueOrder,
    VenueRejected,
    VenueTrade,
    VenueUnknown,
    readable,
    wire_tif,
)
from workers.adapters.wire_time import nanoseconds
from workers.engine.events import FundingSettled, JournalEvent, OrderAccepted, OrderEnded, OrderFilled, OrderIntended
from workers.engine.instruments import GridError, Instrument, atoms
from workers.engine.market.venues import OANDA
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

ID_TAKEN: Final = "CLIENT_ORDER_ID_ALREADY_EXISTS"
FILL: Final = "ORDER_FILL"
FINANCING: Final = "DAILY_FINANCING"
NEWEST: Final = 500
GONE: Final = frozenset({"ORDER_DOESNT_EXIST", "NO_SUCH_ORDER", "ORDER_CANCEL_REJECT"})
ATOM: Final = Decimal("1E-8")


class OandaVenue(HttpVenue):
    """One account. Implements ``venue.Venue``."""

    def __init__(
        self,
        token: str,
        account: str,
        *,
        clock: Callable[[], int],
        url: str = OANDA.rest_url,
        name: str = "oanda",
        timeout_s: float = 5.0,
    ) -> None:
        """``token`` is the personal access token; the default ``url`` is the practice system's."""
        super().__init__(name=name, url=url, rules=OANDA, clock=clock, timeout_s=timeout_s)
        self._token = token
        self._base = f"/v3/accounts/{percent(account, safe='')}"
        self._settled = 0
        """Number of the newest transaction that was looked at for financing."""
        self._opened_at: dict[str, Decimal] = {}
        """Opening price by the number of a trade."""
        self.currency = ""
        """The account's currency, known after ``load_instruments``."""

    def _headers(self, method: str, path: str, deadline: int) -> dict[str, str]:  # noqa: ARG002 - one token for all
        return {"Authorization": f"Bearer {self._token}", "Accept-Datetime-Format": "RFC3339"}

    def _refusal(self, status: int, body: dict[str, Any]) -> VenueError:
        told = msgspec.convert(body, Refusal)
        code = str(told.rejected.get("rejectReason") or told.code or status)
        if code == ID_TAKEN:
            return VenueUnknown(f"the venue already has this client id ({told.message})")
        if status == 404:
            return OrderNotFound(f"{code}: {told.message}")
        return VenueRejected(code, told.message or code)

    @readable
    async def synchronise_clock(self) -> int:
        """Always 0: OANDA tells no time of its own, and nothing that it checks depends on ours."""
        return 0

    async def load_instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Filters of ``symbols`` (all, when empty); VenueRejected when the account may not trade one."""
        raw = await self._ask("GET", f"{self._base}/instruments")
        summary = msgspec.json.decode(await self._ask("GET", f"{self._base}/summary"), type=Summary)
        self.currency = summary.account.currency
        try:
            found = {one.name: one for one in msgspec.json.decode(raw, type=Instruments).instruments}
            wanted = symbols or [name for name in found if name.endswith(f"_{self.currency}")]
            if foreign := [name for name in wanted if name in found and not name.endswith(f"_{self.currency}")]:
                detail = f"{', '.join(foreign)}: the account is in {self.currency}; trade what is quoted in it"
                raise VenueRejected("QUOTE", detail)
            self.instruments = {name: instrument_of(found[name], venue=self.name) for name in wanted}
        except KeyError as error:
            raise VenueRejected("UNREADABLE", f"the account at {self.name} has no instrument {error}") from error
        except (msgspec.DecodeError, GridError, ArithmeticError) as error:
            raise VenueRejected("UNREADABLE", f"instruments of {self.name}: {error}") from error
        return self.instruments

    async def _send(self, intent: OrderIntended, deadline: int, left: Callable[[], None]) -> list[JournalEvent]:
        body = {"order": self._order_body(intent)}
        raw = await self._ask("POST", f"{self._base}/orders", body=body, deadline=deadline, left=left)
        answer, now = msgspec.json.decode(raw, type=Created), self._clock()
        events: list[JournalEvent] = [
            OrderAccepted(ts=now, client_id=intent.client_id, venue_order_id=answer.created.id)
        ]
        if answer.filled is not None:
            trade = await self._trade(answer.filled)
            events.append(
                OrderFilled(
                    ts=now,
                    client_id=intent.client_id,
                    trade_id=trade.trade_id,
                    symbol=trade.symbol,
                    side=trade.side,
                    lots=trade.lots,
                    price=trade.price,
                    fee=trade.fee,
                    fee_asset=trade.fee_asset,
                    maker=False,
                    ts_event=trade.ts_event,
                )
            )
        if answer.cancelled is not None:
            detail = answer.cancelled.reason or "at entry"
            events.append(OrderEnded(ts=now, client_id=intent.client_id, status=OrderStatus.CANCELED, detail=detail))
        return events

    def _order_body(self, intent: OrderIntended) -> dict[str, Any]:
        instrument = self.instruments[intent.symbol]
        body: dict[str, Any] = {
            "instrument": intent.symbol,
            "units": f"{instrument.quantity(intent.lots * intent.side):f}",
            "positionFill": "REDUCE_ONLY" if intent.reduce_only else "DEFAULT",
            "clientExtensions": {"id": intent.client_id},
        }
        tif = wire_tif(intent.tif)
        if intent.order_type is OrderType.MARKET:
            return {**body, "type": "MARKET", "timeInForce": "FOK" if tif is TimeInForce.FOK else "IOC"}
        if intent.order_type is not OrderType.LIMIT:
            raise VenueRejected("ORDER_TYPE", f"{intent.order_type} is not known to {self.name}")
        if tif is not TimeInForce.GTC:
            # A limit that must not rest is a market order with a worst price.
            return {**body, "type": "MARKET", "timeInForce": tif.value, "priceBound": self._price(intent)}
        return {**body, "type": "LIMIT", "timeInForce": "GTC", "price": self._price(intent)}

    def _price(self, intent: OrderIntended) -> str:
        return f"{self.instruments[intent.symbol].price(intent.price):f}"

    @readable
    async def cancel(self, symbol: str, client_id: str) -> None:  # noqa: ARG002 - the port's signature
        """Ask for a cancel; OrderNotFound when there is nothing to cancel."""
        await self._ask("PUT", f"{self._base}/orders/{_specifier(client_id)}/cancel")

    @readable
    async def query(self, symbol: str, client_id: str) -> VenueOrder:
        """The order as the venue has it; OrderNotFound when it does not know it."""
        try:
            raw = await self._ask("GET", f"{self._base}/orders/{_specifier(client_id)}")
        except OrderNotFound:
            return self._order(await self._among_all(symbol, client_id))
        return self._order(msgspec.json.decode(raw, type=OneOrder).order)

    async def _among_all(self, symbol: str, client_id: str) -> Order:
        """An order that is over may not be found by our id any more: look through the newest ones."""
        params = {"state": "ALL", "count": NEWEST, "instrument": symbol}
        raw = await self._ask("GET", f"{self._base}/orders", params=params)
        for one in msgspec.json.decode(raw, type=Orders).orders:
            if one.extensions.id == client_id:
                return one
        raise OrderNotFound(f"none of the newest {NEWEST} orders in {symbol} has the client id {client_id}")

    @readable
    async def client_id_of(self, symbol: str, venue_order_id: str) -> str:  # noqa: ARG002 - the port's signature
        """Client id of the order that the venue numbered so; empty when it does not know it any more."""
        try:
            raw = await self._ask("GET", f"{self._base}/orders/{percent(venue_order_id, safe='')}")
        except OrderNotFound:
            return ""
        found: Extensions = msgspec.json.decode(raw, type=OneOrder).order.extensions
        return found.id

    @readable
    async def open_orders(self) -> list[VenueOrder]:
        """Every pending order of the account in our instruments."""
        raw = await self._ask("GET", f"{self._base}/pendingOrders")
        found = msgspec.json.decode(raw, type=Orders).orders
        return [self._order(one) for one in found if one.instrument in self.instruments]

    @readable
    async def trades(self, symbol: str, after: int) -> list[VenueTrade]:
        """All our fills with a transaction number above ``after``, oldest first."""
        done = await self._transactions(after)
        fills = [one for one in done if one.type == FILL and one.instrument == symbol]
        return sorted([await self._trade(one) for one in fills], key=lambda one: one.trade_id)

    async def _transactions(self, after: int) -> list[Transaction]:
        """Everything that happened to the account after the transaction ``after``."""
        found: list[Transaction] = []
        while True:
            raw = await self._ask("GET", f"{self._base}/transactions/sinceid", params={"id": max(after, 1)})
            page = msgspec.json.decode(raw, type=Transactions)
            found += page.transactions
            newest = max((int(one.id) for one in page.transactions), default=0)
            if not page.transactions or newest >= int(page.last):
                return found
            after = newest

    @readable
    async def settlements(self, newest_trade: int) -> list[FundingSettled]:
        """Financing of our instruments since the last call; at first since ``newest_trade``, or since now for 0."""
        if not self._settled:
            self._settled = newest_trade or int((await self._account()).last)
        done = await self._transactions(self._settled)
        self._settled = max([self._settled, *(int(one.id) for one in done)])
        return [
            FundingSettled(
                ts=self._clock(),
                symbol=each.instrument,
                amount=_atoms(each.financing, self.currency),
                ts_event=nanoseconds(one.time),
            )
            for one in done
            if one.type == FINANCING
            for each in one.financed
            if each.instrument in self.instruments and Decimal(each.financing)
        ]

    async def _account(self) -> Account:
        """The account with its open trades, at one moment."""
        raw = await self._ask("GET", self._base)
        found: Account = msgspec.json.decode(raw, type=Summary).account
        return found

    @readable
    async def positions(self) -> dict[str, int]:
        """Net position of each instrument that has one, in lots; negative when short."""
        raw = await self._ask("GET", f"{self._base}/openPositions")
        net: dict[str, int] = {}
        for one in msgspec.json.decode(raw, type=Positions).positions:
            if one.instrument in self.instruments:
                units = Decimal(one.long.units) + Decimal(one.short.units)
                net[one.instrument] = self.instruments[one.instrument].lots(units)
        return net

    @readable
    async def balances(self) -> dict[str, int]:
        """Atoms: what is left of the balance when the open trades are paid for, and the net position in each base."""
        account = await self._account()
        totals = {one.base: 0 for one in self.instruments.values()}
        cash = Decimal(account.balance)
        for trade in account.trades:
            if (instrument := self.instruments.get(trade.instrument)) is not None:
                totals[instrument.base] += instrument.lots(trade.units) * instrument.lot_atoms
                cash -= Decimal(trade.units) * Decimal(trade.price)
        return {**totals, account.currency: atoms(cash.quantize(ATOM), account.currency)}

    def _order(self, order: Order) -> VenueOrder:
        """OANDA fills an order whole or not at all: what may fill in parts is over at once."""
        instrument, units, status = self.instruments[order.instrument], Decimal(order.units), STATES[order.state]
        lots = instrument.lots(abs(units))
        return VenueOrder(
            client_id=order.extensions.id,
            venue_order_id=order.id,
            symbol=order.instrument,
            side=Side.BUY if units > 0 else Side.SELL,
            status=status,
            lots=lots,
            filled=lots if status is OrderStatus.FILLED else 0,
        )

    async def _trade(self, fill: Transaction) -> VenueTrade:
        instrument, units = self.instruments[fill.instrument], Decimal(fill.units)
        # An average over several levels may lie between two ticks; what is rounded off goes into the fee.
        ticks = int((Decimal(fill.price) / instrument.tick).to_integral_value())
        paid = await self._paid_for(fill, units)
        moved = Decimal(fill.pl) + Decimal(fill.financing) - Decimal(fill.commission) - Decimal(fill.guarantee)
        fee = paid - moved - units * instrument.price(ticks)
        return VenueTrade(
            trade_id=int(fill.id),
            venue_order_id=fill.order_id,
            symbol=fill.instrument,
            side=Side.BUY if units > 0 else Side.SELL,
            lots=instrument.lots(abs(units)),
            price=ticks,
            fee=atoms(fee.quantize(ATOM), self.currency),
            fee_asset=self.currency,
            maker=False,
            ts_event=nanoseconds(fill.time),
        )

    async def _paid_for(self, fill: Transaction, units: Decimal) -> Decimal:
        """By how much the fill changed the worth, at their opening prices, of the trades that are open."""
        if fill.opened is None and fill.reduced is None and not fill.closed:
            return units * Decimal(fill.price)
        sign, worth = (1 if units > 0 else -1), Decimal(0)
        if fill.opened is not None:
            self._opened_at[fill.opened.trade_id] = price = Decimal(fill.opened.price)
            worth += sign * abs(Decimal(fill.opened.units)) * price
        for one in [*fill.closed, *([fill.reduced] if fill.reduced is not None else [])]:
            worth += sign * abs(Decimal(one.units)) * await self._opening_price(one.trade_id)
        return worth

    async def _opening_price(self, trade_id: str) -> Decimal:
        known = self._opened_at.get(trade_id)
        if known is None:
            raw = await self._ask("GET", f"{self._base}/trades/{percent(trade_id, safe='')}")
            known = self._opened_at[trade_id] = Decimal(msgspec.json.decode(raw, type=OneTrade).trade.price)
        return known


def _specifier(client_id: str) -> str:
    """How an order is named by our id."""
    return f"@{percent(client_id, safe='')}"


def _atoms(amount: str, currency: str) -> int:
    return atoms(Decimal(amount).quantize(ATOM), currency)
