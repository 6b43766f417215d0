"""Names at a venue: out under the venue's own, back under the engine's keys, and never one for the other."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.kernels import BTC, ETH
from workers.adapters.venue import VenueOrder, VenueRejected, VenueTrade
from workers.engine.events import JournalEvent, OrderAccepted, OrderFilled, OrderIntended
from workers.engine.instruments import Instrument, KeyNameError
from workers.engine.market.venues import PAPER, VenueRules
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce
from workers.live.execution.names import KeyedVenue, Names

BARE = st.text(st.characters(exclude_characters="@", codec="ascii", categories=("Lu", "Nd", "Pd")), min_size=1)
BETA = Names("beta", "paper")


@given(BARE, BARE, BARE)
def test_a_key_leads_back_to_its_name_at_its_venue_alone(name: str, venue: str, home: str) -> None:
    names = Names(venue, home)
    key = names.key(name)
    assert names.native(key) == name
    assert names.owns(key)
    assert ("@" in key) == (venue != home)
    stranger = Names(f"{venue}x", home)
    assert not stranger.owns(key) or stranger.suffix == names.suffix
    if stranger.suffix != names.suffix:
        with pytest.raises(KeyNameError):
            stranger.native(key)


class Native:
    """An adapter that knows ``BTCUSDT`` and ``USDT`` and writes down what it is asked for."""

    rules: VenueRules = PAPER

    def __init__(self, listed: list[Instrument]) -> None:
        self.listed = listed
        self.asked: list[str] = []

    async def load_instruments(self, _symbols: object) -> dict[str, Instrument]:
        return {one.symbol: msgspec.structs.replace(one, venue="whatever") for one in self.listed}

    async def submit(self, intent: OrderIntended, *_: object) -> list[JournalEvent]:
        self.asked.append(intent.symbol)
        fill = OrderFilled(
            ts=1,
            client_id=intent.client_id,
            trade_id=7,
            symbol=intent.symbol,
            side=intent.side,
            lots=1,
            price=1,
            fee=1,
            fee_asset="USDT",
            maker=False,
            ts_event=1,
        )
        return [OrderAccepted(ts=1, client_id=intent.client_id, venue_order_id="1"), fill]

    async def cancel(self, symbol: str, _client_id: str) -> None:
        self.asked.append(symbol)

    async def query(self, symbol: str, client_id: str) -> VenueOrder:
        self.asked.append(symbol)
        return VenueOrder(
            client_id=client_id,
            venue_order_id="1",
            symbol=symbol,
            side=Side.BUY,
            status=OrderStatus.WORKING,
            lots=2,
            filled=0,
        )

    async def open_orders(self) -> list[VenueOrder]:
        return [await self.query("BTCUSDT", "one")]

    async def trades(self, symbol: str, _after: int) -> list[VenueTrade]:
        self.asked.append(symbol)
        return [
            VenueTrade(
                trade_id=7,
                venue_order_id="1",
                symbol=symbol,
                side=Side.BUY,
                lots=1,
                price=1,
                fee=1,
                fee_asset="USDT",
                maker=False,
                ts_event=1,
            )
        ]

    async def client_id_of(self, symbol: str, _number: str) -> str:
        self.asked.append(symbol)
        return "one"

    async def balances(self) -> dict[str, int]:
        return {"USDT": 5, "BTC": 0}


def keyed(*listed: Instrument) -> tuple[KeyedVenue, Native]:
    native = Native(list(listed))
    return KeyedVenue(native, BETA), native  # type: ignore[arg-type]  # no more of a venue than is asked here


def intent(symbol: str) -> OrderIntended:
    return OrderIntended(
        ts=1,
        client_id="one",
        run_id="r",
        symbol=symbol,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        lots=1,
        price=1,
        reduce_only=False,
        reference=1,
        forecast_id="",
        model_digest="",
        limits_version=1,
        epoch=1,
        decision={},
        stages={},
    )


async def test_the_venue_hears_its_own_names_and_the_loop_the_keys() -> None:
    venue, native = keyed(BTC)
    listed = await venue.load_instruments(())
    assert [(key, one.symbol, one.venue, one.native) for key, one in listed.items()] == [
        ("BTCUSDT@beta", "BTCUSDT@beta", "beta", "BTCUSDT")
    ]
    key = "BTCUSDT@beta"
    fill = (await venue.submit(intent(key), 1, lambda _id, _ns: None))[1]
    assert isinstance(fill, OrderFilled)
    assert (fill.symbol, fill.fee_asset) == (key, "USDT@beta")
    await venue.cancel(key, "one")
    assert (await venue.query(key, "one")).symbol == key
    assert [one.symbol for one in await venue.open_orders()] == [key]
    assert [(one.symbol, one.fee_asset) for one in await venue.trades(key, 0)] == [(key, "USDT@beta")]
    assert await venue.client_id_of(key, "1") == "one"
    assert await venue.balances() == {"USDT@beta": 5, "BTC@beta": 0}
    assert set(native.asked) == {"BTCUSDT"}
    with pytest.raises(KeyNameError, match="expected a name of beta"):
        await venue.cancel("BTCUSDT", "one")


async def test_what_the_account_cannot_hold_is_left_out_by_name() -> None:
    euro = msgspec.structs.replace(ETH, symbol="ETHEUR", quote="EUR")
    twin = msgspec.structs.replace(BTC, symbol="BTCUSDT-2")
    long = msgspec.structs.replace(ETH, symbol=f"{'X' * 24}USDT")
    venue, _ = keyed(BTC, euro, twin, long)
    await venue.load_instruments(())
    assert venue.keep("USDT") == ["BTCUSDT-2@beta", "ETHEUR@beta", f"{long.symbol}@beta"]
    assert list(venue.instruments) == ["BTCUSDT@beta"]


async def test_a_venue_whose_names_cannot_be_part_of_a_key_is_refused() -> None:
    venue, _ = keyed(msgspec.structs.replace(BTC, symbol="BTC@USDT"))
    with pytest.raises(VenueRejected, match="without '@'"):
        await venue.load_instruments(())
