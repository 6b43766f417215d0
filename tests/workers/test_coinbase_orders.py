"""Order entry at Coinbase against a fake that verifies every token and keeps one order per client id."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.fake_coinbase import PRODUCT, FakeCoinbase
from tests.support.intents import intent, soon
from workers.adapters.coinbase.order_venue import CoinbaseVenue
from workers.adapters.coinbase.signing import KeyProblem, Signer, read_key
from workers.adapters.fill_numbers import fill_number
from workers.adapters.venue import OrderNotFound, Venue, VenueRejected, VenueUnknown
from workers.engine.events import OrderAccepted, OrderNotSent, OrderRejected, OrderUnknown
from workers.engine.market.venues import Feature
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

ES256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


def pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return str(key.private_bytes(Encoding.PEM, form, NoEncryption()).decode())


def raw_ed25519() -> str:
    seed = ED25519.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return base64.b64encode(seed + ED25519.public_key().public_bytes_raw()).decode()


KEYS = [
    (ES256, pem(ES256, PrivateFormat.TraditionalOpenSSL)),
    (ES256, pem(ES256).replace("\n", "\\n")),
    (ED25519, pem(ED25519)),
    (ED25519, raw_ed25519()),
]


class Left:
    """Remembers which orders left."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def __call__(self, client_id: str, at: int) -> None:
        assert abs(time.perf_counter_ns() - at) < 5 * 10**9
        self.ids.append(client_id)


@contextlib.asynccontextmanager
async def connected(
    key: Any = ES256, secret: str = KEYS[0][1], **options: Any
) -> AsyncIterator[tuple[FakeCoinbase, CoinbaseVenue]]:
    async with FakeCoinbase(key.public_key()).running() as fake:
        signer = Signer(fake.key_name, secret, clock=time.time_ns)
        venue = CoinbaseVenue(signer, clock=time.time_ns, url=f"http://127.0.0.1:{fake.port}", **options)
        await venue.open()
        try:
            await venue.load_instruments([PRODUCT])
            yield fake, venue
        finally:
            await venue.close()


@pytest.mark.parametrize(("key", "secret"), KEYS, ids=["sec1", "escaped", "ed25519", "base64"])
async def test_every_form_of_key_signs_what_the_venue_verifies(key: Any, secret: str) -> None:
    async with connected(key, secret) as (fake, venue):
        one: Venue = venue
        assert one.instruments[PRODUCT].taker_fee == Decimal("0.006")
        assert abs(await one.synchronise_clock()) < 2000
        assert await one.balances() == {"BTC": 175_000_000, "USD": 100_050_000_000}
        assert len(fake.nonces) == 3 - 1
        assert one.rules.supports(Feature.DEDUPLICATES_CLIENT_ID)


def test_keys_that_cannot_sign_are_refused_without_being_shown() -> None:
    for secret in ("hunter2", pem(rsa.generate_private_key(65537, 2048)), pem(ec.generate_private_key(ec.SECP384R1()))):
        with pytest.raises(KeyProblem, match=r"expected a (Coinbase|P-256)") as raised:
            read_key(secret)
        assert secret not in str(raised.value)


async def test_wrong_key_is_a_rejection() -> None:
    async with connected() as (fake, venue):
        fake.key = ec.generate_private_key(ec.SECP256R1()).public_key()
        with pytest.raises(VenueRejected, match="401"):
            await venue.balances()


async def test_our_client_id_travels_and_a_repetition_makes_no_second_order() -> None:
    left = Left()
    async with connected() as (fake, venue):
        order = intent("gk-1", PRODUCT, lots=50_000_000, price=10_050)
        fake.fail_after_accepting = True
        (unknown,) = await venue.submit(order, soon(), left)
        assert isinstance(unknown, OrderUnknown)
        assert left.ids == ["gk-1"]
        found = await venue.query(PRODUCT, "gk-1")
        assert (found.client_id, found.status, found.lots) == ("gk-1", OrderStatus.WORKING, 50_000_000)
        (accepted,) = await venue.submit(order, soon(), left)
        assert isinstance(accepted, OrderAccepted)
        assert accepted.venue_order_id == found.venue_order_id
    assert len(fake.orders) == 1
    assert fake.posted[0] == {
        "client_order_id": "gk-1",
        "product_id": PRODUCT,
        "side": "BUY",
        "order_configuration": {
            "limit_limit_gtc": {"base_size": "0.50000000", "limit_price": "100.50", "post_only": False}
        },
    }


@pytest.mark.parametrize(
    ("changes", "kind", "terms"),
    [
        ({"price": 0}, "market_market_ioc", {}),
        ({"order_type": OrderType.LIMIT_MAKER}, "limit_limit_gtc", {"post_only": True}),
        ({"tif": TimeInForce.IOC}, "sor_limit_ioc", {}),
        ({"tif": TimeInForce.FOK, "side": Side.SELL}, "limit_limit_fok", {}),
        ({"tif": TimeInForce.DAY}, "limit_limit_gtc", {"post_only": False}),
    ],
)
async def test_each_type_goes_out_as_the_venue_names_it(
    changes: dict[str, Any], kind: str, terms: dict[str, Any]
) -> None:
    async with connected() as (fake, venue):
        fields = {"lots": 100, "price": 10_000, **changes}
        await venue.submit(intent("a", PRODUCT, **fields), soon(), Left())
    ((name, sent),) = fake.posted[0]["order_configuration"].items()
    assert name == kind
    limit = {} if kind == "market_market_ioc" else {"limit_price": "100.00"}
    assert sent == {"base_size": "0.00000100", **limit, **terms}


REFUSED = {"success": False, "error_response": {"error": "INSUFFICIENT_FUND", "message": "too little"}}
VAGUE = {"success": False, "error_response": {"error": "UNKNOWN_FAILURE_REASON", "preview_failure_reason": ""}}


@pytest.mark.parametrize(
    ("answer", "expected", "word"),
    [
        ((200, REFUSED, {}), OrderRejected, "INSUFFICIENT_FUND"),
        ((200, VAGUE, {}), OrderUnknown, "no reason"),
        ((400, {"error": "INVALID_ARGUMENT", "message": "bad size"}, {}), OrderRejected, "INVALID_ARGUMENT"),
        ((429, {}, {"Retry-After": "30"}), OrderRejected, "VENUE_BUSY"),
        ((500, {}, {}), OrderUnknown, "HTTP 500"),
        ((200, {"strange": 1}, {}), OrderUnknown, "unreadable"),
        ((0, {}, {}), OrderUnknown, "Error"),
    ],
)
async def test_every_answer_means_one_thing(answer: Any, expected: type, word: str) -> None:
    async with connected() as (fake, venue):
        fake.answers = [answer]
        (event,) = await venue.submit(intent("a", PRODUCT, lots=100, price=1), soon(), Left())
        assert isinstance(event, expected)
        assert word in f"{event}"
        if word == "VENUE_BUSY":
            (after,) = await venue.submit(intent("b", PRODUCT, lots=100, price=1), soon(), Left())
            assert isinstance(after, OrderNotSent)
    assert fake.orders == {}


async def test_late_and_unreachable_orders_do_not_leave() -> None:
    left = Left()
    async with connected() as (fake, venue):
        (late,) = await venue.submit(intent("a", PRODUCT, lots=1, price=1), time.time_ns(), left)
        assert isinstance(late, OrderNotSent)
        venue._http.base_url = "http://127.0.0.1:9"  # nothing listens there
        (gone,) = await venue.submit(intent("b", PRODUCT, lots=1, price=1), soon(), left)
        assert isinstance(gone, OrderNotSent)
    assert (left.ids, fake.posted) == ([], [])


async def test_fills_cancels_and_what_is_not_there() -> None:
    async with connected() as (fake, venue):
        (accepted,) = await venue.submit(intent("a", PRODUCT, lots=10**8, price=10_002), soon(), Left())
        assert isinstance(accepted, OrderAccepted)
        order_id = accepted.venue_order_id
        for size in ("0.1", "0.2", "0.3"):
            fake.fill(order_id, size)
        trades = await venue.trades(PRODUCT, 0)
        assert [(one.lots, one.price, one.fee_asset, one.maker) for one in trades] == [
            (10_000_000, 10_002, "USD", False),
            (20_000_000, 10_002, "USD", False),
            (30_000_000, 10_002, "USD", False),
        ] or len({one.ts_event // 10**6 for one in trades}) < 3
        assert sum(one.lots for one in trades) == 60_000_000
        assert sum(one.fee for one in trades) == 36_007_200
        after = await venue.trades(PRODUCT, trades[1].trade_id)
        assert trades[2] in after
        assert trades[1] not in after
        assert (await venue.query(PRODUCT, "a")).status is OrderStatus.PARTIALLY_FILLED
        assert [one.client_id for one in await venue.open_orders()] == ["a"]
        assert await venue.client_id_of(PRODUCT, order_id) == "a"
        assert await venue.client_id_of(PRODUCT, "nobody") == ""
        await venue.cancel(PRODUCT, "a")
        assert (await venue.query(PRODUCT, "a")).status is OrderStatus.CANCELED
        assert await venue.open_orders() == []
        for ask in (venue.cancel, venue.query):
            with pytest.raises(OrderNotFound):
                await ask(PRODUCT, "never-sent")
        with pytest.raises(OrderNotFound):
            await venue.cancel(PRODUCT, "a")


async def test_an_answer_that_cannot_be_read_tells_nothing() -> None:
    async with connected() as (fake, venue):
        await venue.submit(intent("a", PRODUCT, lots=10**8, price=10_002), soon(), Left())
        fake.orders["order-1"]["status"] = "SOMETHING_NEW"
        with pytest.raises(VenueUnknown, match="unreadable answer: KeyError: 'SOMETHING_NEW'"):
            await venue.query(PRODUCT, "a")
        del fake.orders["order-1"]["side"]
        with pytest.raises(VenueUnknown, match="unreadable answer: ValidationError"):
            await venue.query(PRODUCT, "a")


def test_numbers_of_fills_grow_with_time_and_fit_63_bits() -> None:
    at = 1_800_000_000 * 10**9
    assert fill_number("x", at) == fill_number("x", at + 999_999)
    assert fill_number("x", at) != fill_number("y", at)
    assert fill_number("a", at) < fill_number("b", at + 10**6)
    assert fill_number("x", 3_755_000_000 * 10**9) < 2**63
