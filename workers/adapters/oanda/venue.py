"""OANDA v20: orders, positions and the account over its REST interface. Source: OANDA v20 REST API documentation.

An account is a margin account in one currency. Buying EUR_USD moves no dollars: it makes a position, and profit comes
in the account's currency. So ``balances`` are the account's balance and the net position of each instrument's base
(negative when short), and the quote's balance does not move with a trade.

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
    Created,
    Extensions,
    Instruments,
    OneOrder,
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
from workers.engine.events import JournalEvent, OrderAccepted, OrderEnded, OrderFilled, OrderIntended
from workers.engine.instruments import GridError, Instrument, atoms
from workers.engine.market.venues import OANDA
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

ID_TAKEN: Final = "CLIENT_ORDER_ID_ALREADY_EXISTS"
FILL: Final = "ORDER_FILL"
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
            wanted = symbols or list(found)
            self.instruments = {name: instrument_of(found[name], venue=self.name) for name in wanted}
        except KeyError as error:
            raise VenueRejected("UNREADABLE", f"the account at {self.name} has no instrument {error}") from error
        except (msgspec.DecodeError, GridError, ArithmeticError) as error:
            raise VenueRejected("UNREADABLE", f"instruments of {self.name}: {error}") from error
        return self.instruments

    async def _send(self, intent: OrderIntended, deadline: int, left: Callable[[], None]) -> list[JournalEvent]:  # noqa: ARG002 - the venue has none
        raw = await self._ask("POST", f"{self._base}/orders", body={"order": self._order_body(intent)}, left=left)
        answer, now = msgspec.json.decode(raw, type=Created), self._clock()
        events: list[JournalEvent] = [
            OrderAccepted(ts=now, client_id=intent.client_id, venue_order_id=answer.created.id)
        ]
        if answer.filled is not None:
            trade = self._trade(answer.filled)
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
    async def query(self, symbol: str, client_id: str) -> VenueOrder:  # noqa: ARG002 - the port's signature
        """The order as the venue has it; OrderNotFound when it does not know it."""
        raw = await self._ask("GET", f"{self._base}/orders/{_specifier(client_id)}")
        return self._order(msgspec.json.decode(raw, type=OneOrder).order)

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
        found: list[VenueTrade] = []
        while True:
            raw = await self._ask("GET", f"{self._base}/transactions/sinceid", params={"id": max(after, 1)})
            page = msgspec.json.decode(raw, type=Transactions)
            fills = (one for one in page.transactions if one.type == FILL and one.instrument == symbol)
            found += (self._trade(one) for one in fills)
            newest = max((int(one.id) for one in page.transactions), default=0)
            if not page.transactions or newest >= int(page.last):
                return sorted(found, key=lambda one: one.trade_id)
            after = newest

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
        """Atoms: the account's balance in its currency, and the net position of each instrument's base."""
        account = msgspec.json.decode(await self._ask("GET", f"{self._base}/summary"), type=Summary).account
        totals = {one.base: 0 for one in self.instruments.values()}
        for symbol, lots in (await self.positions()).items():
            instrument = self.instruments[symbol]
            totals[instrument.base] += lots * instrument.lot_atoms
        totals[account.currency] = totals.get(account.currency, 0) + _atoms(account.balance, account.currency)
        return totals

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

    def _trade(self, fill: Transaction) -> VenueTrade:
        instrument, units = self.instruments[fill.instrument], Decimal(fill.units)
        return VenueTrade(
            trade_id=int(fill.id),
            venue_order_id=fill.order_id,
            symbol=fill.instrument,
            side=Side.BUY if units > 0 else Side.SELL,
            lots=instrument.lots(abs(units)),
            price=instrument.ticks(fill.price),
            fee=_atoms(fill.commission, self.currency),
            fee_asset=self.currency,
            maker=False,
            ts_event=nanoseconds(fill.time),
        )


def _specifier(client_id: str) -> str:
    """How an order is named by our id."""
    return f"@{percent(client_id, safe='')}"


def _atoms(amount: str, currency: str) -> int:
    return atoms(Decimal(amount).quantize(ATOM), currency)
