"""Orders and trades of an account at a venue of ccxt, whole or not at all (see ``ccxt_pages``)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, Protocol

from workers.adapters.ccxt_exchange import (
    BY_CLIENT_ID,
    LISTED_BY_CLIENT_ID,
    asked_about,
    described,
    listings_of_ended,
    told,
)
from workers.adapters.ccxt_pages import DAY_MS, Answer, Incomplete, Row, Walk, at, last_change, looks_cut, name_of
from workers.adapters.venue import OrderNotFound

PAGE: Final = 100
ANY_TIME_DAYS: Final = 10_000
"""ccxt describes a range without a limit by as many days or more."""


class Asking(Protocol):
    """Calls a method of ccxt; raises VenueError."""

    def __call__(self, method: str, *arguments: Any) -> Awaitable[Any]: ...


class Listings:
    """What the venue has of one account, read to its end. VenueError; Incomplete where that cannot be had."""

    def __init__(self, code: str, api: Callable[[], Any], ask: Asking, clock_ms: Callable[[], int]) -> None:
        self._code = code
        self._api = api
        self._ask = ask
        self._clock_ms = clock_ms
        self._longest: dict[str, int] = {}

    @property
    def by_client_id(self) -> bool:
        """Whether an order can be asked for by our id."""
        return self._code in BY_CLIENT_ID | LISTED_BY_CLIENT_ID

    async def order_of(self, pair: str, client_id: str) -> Row:
        """The order with our id, at a venue that can be asked so; OrderNotFound."""
        asked, wanted = asked_about.set(client_id), {"clientOrderId": client_id}
        try:
            if self._code in LISTED_BY_CLIENT_ID:
                # In this order: what ends in between is shown by the second.
                rows: list[Row] = await self._ask("fetch_open_orders", pair, None, None, wanted)
                rows = rows or await self._ask("fetch_closed_orders", pair, None, None, wanted)
            else:
                rows = [await self._ask("fetch_order", None, pair, wanted)]
        finally:
            asked_about.reset(asked)
        if not rows:
            raise OrderNotFound(f"no order, open or closed, has the client id {client_id}")
        answer = rows[0]
        if (answer.get("clientOrderId") or client_id) != client_id:
            raise ValueError(f"expected order {client_id}, was {answer['clientOrderId']}")
        return {**answer, "clientOrderId": client_id}

    async def trades(self, pair: str, since: int) -> list[Row]:
        """Our trades in ``pair`` since then."""
        walk = self._walk("fetchMyTrades", pair, at)
        return self._of(pair, await self._read("fetchMyTrades", walk, since))

    async def orders(self, pair: str, since: int) -> list[Row]:
        """Orders in ``pair`` that are open, and those since then that have ended."""
        found = {name_of(row): row for row in await self._open(pair)}
        for method in listings_of_ended(self._api()):
            walk = self._walk(method, pair, last_change)
            found |= {name_of(row): row for row in self._of(pair, await self._read(method, walk, since))}
        return list(found.values())

    async def search(self, pair: str, client_id: str, since: int, others: Collection[str]) -> Row:
        """The order with our id among those since then; OrderNotFound when it is certainly none of them.

        ``others``: the venue's ids of orders with other ids of ours. A trade of an order that no listing shows and an
        order that does not tell its client id are looked up one by one, as each of them may be the one.
        """
        rows = await self.orders(pair, since)
        for row in rows:
            if row.get("clientOrderId") == client_id:
                return row
        named = {name_of(row) for row in rows if row.get("clientOrderId")} | set(others)
        traded = {str(row.get("order")) for row in await self.trades(pair, since)}
        for order_id in sorted((traded | {name_of(row) for row in rows}) - named):
            if (found := await self._look_up(pair, order_id)).get("clientOrderId") == client_id:
                return found
        raise OrderNotFound(f"none of {len(rows)} orders has the client id {client_id}")

    async def _look_up(self, pair: str, order_id: str) -> Row:
        try:
            found: Row = await self._ask("fetch_order", order_id, pair)
        except OrderNotFound:
            found = {}
        if not found.get("clientOrderId"):
            raise Incomplete(f"order {order_id} may be the one and does not tell its client id")
        return found

    def remembered_since(self, days: int) -> int:
        """The time ``days`` ago, or since when the venue remembers orders and trades, if that is later."""
        methods = ("fetchMyTrades", *listings_of_ended(self._api()))
        kept = (described(self._api(), method).get("daysBack") for method in methods)
        return self._clock_ms() - int(min([days, *(days for days in kept if days)]) * DAY_MS)

    async def _open(self, pair: str) -> list[Row]:
        """Open orders: most venues tell them all at once."""
        limit = described(self._api(), "fetchOpenOrders").get("limit")
        answer = await self._page("fetchOpenOrders", pair, None, None, limit)
        if looks_cut(answer.length) or answer.length >= (limit or answer.length + 1):
            raise Incomplete(f"it tells {answer.length} open orders at once, and there may be more")
        return self._of(pair, {name_of(row): row for row in answer.rows})

    def _walk(self, method: str, pair: str, edge: Callable[[Row], int]) -> Walk:
        known = described(self._api(), method)
        days, limit = known.get("untilDays"), known.get("limit") or PAGE

        async def ask(since: int, until: int | None) -> Answer:
            return await self._page(method, pair, since, until, limit)

        span_ms = int(days * DAY_MS) if days and days < ANY_TIME_DAYS else None
        return Walk(ask, clock_ms=self._clock_ms, span_ms=span_ms, edge=edge, longest=self._longest.get(method, 0))

    async def _read(self, method: str, walk: Walk, since: int) -> dict[str, Row]:
        try:
            return await walk.read(since)
        finally:
            self._longest[method] = walk.longest

    async def _page(self, method: str, pair: str, since: int | None, until: int | None, limit: int | None) -> Answer:
        """One request. ccxt leaves out rows of other markets, so that pages look shorter than they were."""
        pages: list[list[dict[str, Any]]] = []
        listening = told.set(pages)
        try:
            arguments = (pair, since, limit) if until is None else (pair, since, limit, {"until": until})
            answer = await self._ask(_snake(method), *arguments)
        finally:
            told.reset(listening)
        rows = {name_of(row): row for page in (*pages, answer) for row in page}
        return Answer(list(rows.values()), max(map(len, pages or [answer])))

    @staticmethod
    def _of(pair: str, rows: dict[str, Row]) -> list[Row]:
        return [row for row in rows.values() if (row.get("symbol") or pair) == pair]


def _snake(method: str) -> str:
    return re.sub("[A-Z]", lambda one: f"_{one[0].lower()}", method)
