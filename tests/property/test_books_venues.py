"""One account at several venues: its parts sum to the whole, and no venue's events move another venue's part."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_books_conservation import fills, ids, intended, lots, prices, sides
from tests.support.kernels import BTC, ETH, START, instrument, make_fill
from workers.engine import events as e
from workers.engine.accounting.attribution import Attribution, Dimension, roll_up
from workers.engine.accounting.books import Books, BooksError, replay
from workers.engine.accounting.ledger import Account, Ledger, post
from workers.engine.accounting.valuation import Valuation
from workers.engine.instruments import MONEY_PER_ATOM, Instrument, KeyNameError, at_venue, split_key
from workers.engine.vocabulary import Side

HOME = "paper"
VENUES = (HOME, "beta", "coinbaseexchange")


def abroad(symbol: str, base: str, venue: str, **changes: Any) -> Instrument:
    return instrument(at_venue(symbol, venue, HOME), base, venue=venue, **changes)


ITEMS = (BTC, ETH, *(abroad("BTCUSDT", "BTC", venue) for venue in VENUES[1:]), abroad("ETHUSDT", "ETH", "beta"))
SYMBOLS = {item.symbol: item for item in ITEMS}
ASSETS = [at_venue(asset, venue, HOME) for asset in ("USDT", "BTC", "ETH", "BNB") for venue in VENUES]


def session(*items: Instrument, home: str = HOME, epoch: int = 1) -> e.SessionOpened:
    described = tuple(msgspec.to_builtins(item) for item in items)
    return e.SessionOpened(ts=START, epoch=epoch, venue=home, worker="w", instruments=described)


def venue_of(key: str) -> str:
    return split_key(key)[1] or HOME


symbols = st.sampled_from(sorted(SYMBOLS))
own_fills = st.builds(
    lambda fill, symbol, asset: msgspec.structs.replace(
        fill, symbol=symbol, fee_asset=at_venue(asset, venue_of(symbol), HOME)
    ),
    fills,
    symbols,
    st.sampled_from(["USDT", "BTC", "ETH", "BNB"]),
)
adoptions = st.builds(e.BalanceAdopted, ts=st.just(START), asset=st.sampled_from(ASSETS), total=st.integers(0, 10**9))
fundings = st.builds(
    e.FundingSettled,
    ts=st.just(START),
    symbol=symbols,
    amount=st.integers(-(10**9), 10**9),
    ts_event=st.integers(1, 12),
)
compared = st.builds(
    e.ReconciliationDone,
    ts=st.just(START),
    ok=st.booleans(),
    orders_checked=st.just(0),
    fills_adopted=st.just(0),
    breaks=st.just(()),
    venue=st.sampled_from(["", *VENUES[1:]]),
)
intents = st.builds(intended, ids, symbols, sides, lots, st.one_of(st.just(0), prices))


@st.composite
def journals(draw: st.DrawFn) -> list[Any]:
    """Whatever can happen at three venues, in any order; an order has one intent and fills where it was sent."""
    kept: list[Any] = [session(*ITEMS)]
    sent: set[str] = set()
    for event in draw(st.lists(st.one_of(intents, own_fills, adoptions, fundings, compared), max_size=40)):
        if not isinstance(event, e.OrderIntended | e.OrderFilled):
            kept.append(event)
            continue
        own = msgspec.structs.replace(event, client_id=f"{event.client_id}{event.symbol}")
        if isinstance(own, e.OrderFilled) or own.client_id not in sent:
            kept.append(own)
            sent.update([own.client_id] if isinstance(own, e.OrderIntended) else [])
    return kept


def part(books: Books, venue: str) -> dict[str, Any]:
    """Everything of the books that lies at one venue."""
    snapshot = books.snapshot()
    return {
        "cash": books.cash_at[venue],
        "reserved": books.reserved_at[venue],
        "reconciled": venue in books.reconciled_at,
        "balances": books.balances(venue),
        "lines": {symbol: line for symbol, line in snapshot["lines"].items() if venue_of(symbol) == venue},
        "orders": {key: order for key, order in snapshot["orders"].items() if venue_of(order["symbol"]) == venue},
    }


@given(journals())
@settings(max_examples=100, deadline=None)
def test_parts_of_the_account_sum_to_the_whole(journal: list[Any]) -> None:
    books = replay(journal)
    lines = books.lines.values()
    assert sum(books.cash_at.values()) == books.cash
    assert sum(books.reserved_at.values()) == books.reserved == sum(line.reserved for line in lines)
    for venue in VENUES:
        assert books.reserved_at[venue] == sum(line.reserved for line in lines if line.venue == venue)
    assert books.cash + books.cost == books.capital + books.realised - books.fees + books.funding
    whole: dict[str, int] = {}
    for venue in VENUES:
        whole |= books.balances(venue)
    assert whole == books.balances()
    assert books.reconciled == (books.reconciled_at >= set(VENUES))


@given(journals())
@settings(max_examples=100, deadline=None)
def test_what_happens_at_one_venue_moves_nothing_at_another(journal: list[Any]) -> None:
    books = Books()
    books.apply(journal[0])
    for event in journal[1:]:
        if isinstance(event, e.ReconciliationDone):
            mine = event.venue or HOME
        else:
            mine = venue_of(event.asset if isinstance(event, e.BalanceAdopted) else event.symbol)
        others = [venue for venue in VENUES if venue != mine]
        before = [part(books, venue) for venue in others]
        books.apply(event)
        assert [part(books, venue) for venue in others] == before


@given(journals())
@settings(max_examples=75, deadline=None)
def test_replay_is_identity_and_the_ledger_has_the_same_parts(journal: list[Any]) -> None:
    coded = [msgspec.json.decode(msgspec.json.encode(event), type=e.Journalled) for event in journal]
    books = replay(journal)
    assert msgspec.json.encode(replay(coded).snapshot()) == msgspec.json.encode(books.snapshot())
    ledger, entries = post(journal)
    assert {venue: ledger.cash_at.get(venue, 0) for venue in books.cash_at} == books.cash_at
    for venue in VENUES:
        quote = at_venue("USDT", venue, HOME)
        moved = [p.value for entry in entries for p in entry.postings if p.account is Account.CASH and p.asset == quote]
        assert sum(moved) == books.cash_at[venue]
    assert ledger.totals[Account.FEES] == books.fees
    assert ledger.totals[Account.FUNDING] == -books.funding
    assert ledger.totals[Account.EQUITY] == -books.capital
    assert {symbol: line.position for symbol, line in ledger.lines.items()} == {
        symbol: line.position for symbol, line in books.lines.items()
    }


@given(journals(), st.dictionaries(symbols, prices))
@settings(max_examples=75, deadline=None)
def test_profit_by_venue_sums_to_the_accounts(journal: list[Any], at: dict[str, int]) -> None:
    ledger, books = Ledger(), Books()
    parts = Attribution(ledger)
    for event in journal:
        parts.apply(event, ledger.apply(event))
        books.apply(event)
    for symbol, line in books.lines.items():
        line.mark = at.get(symbol, 0)
    whole = Valuation(books)
    shares = parts.shares(HOME, at)
    for by in ("venue", "instrument"):
        dimension: Dimension = by
        assert sum(row.total for row in roll_up(shares, dimension)) == whole.pnl
    for row in roll_up(shares, "venue"):
        mine = [line for line in books.lines.values() if line.venue == row.key]
        assert row.realised == sum(line.realised for line in mine)
        assert row.fees == sum(line.fees for line in mine)
        assert row.funding == sum(line.funding for line in mine)


@given(st.sampled_from(["BTC", "USDT", "btc-usd"]), st.sampled_from(VENUES), st.sampled_from(["", *VENUES]))
def test_keys_are_read_back_as_they_were_made(name: str, venue: str, home: str) -> None:
    key = at_venue(name, venue, home)
    assert split_key(key) == (name, "" if venue == home else venue)
    for wrong in ("", "@beta", "BTC@", "BTC@a@b"):
        with pytest.raises(KeyNameError, match="expected name or name@venue"):
            split_key(wrong)
    with pytest.raises(KeyNameError, match="rename it"):
        at_venue("BTC@x", venue, home)


def test_a_third_assets_fee_is_taken_at_its_own_venue() -> None:
    books = replay([session(*ITEMS)])
    books.apply(e.BalanceAdopted(ts=START, asset="ETH@beta", total=100))
    books.apply(make_fill("a", "BTCUSDT@beta", Side.BUY, 10, 100, 1, START, 7, "ETH@beta"))
    assert (books.balance("ETH@beta"), books.balance("ETH")) == (93, 0)
    books.apply(make_fill("a", "BTCUSDT@beta", Side.BUY, 10, 100, 2, START, 7, "USDT@coinbaseexchange"))
    assert books.cash_at["coinbaseexchange"] == -7 * MONEY_PER_ATOM
    assert books.fees_paid == {"ETH@beta": 7, "USDT@coinbaseexchange": 7}


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ((abroad("BTCUSD", "BTC", "beta", quote="USD"),), "expected quotes in USDT, was USD .*leave it out"),
        ((abroad("BTCUSDC", "BTC", "beta"),), "one instrument per venue and base asset.*leave one out"),
        (
            (instrument("XRPUSDT@beta", "XRP", venue="coinbaseexchange"),),
            "expected symbol XRPUSDT@coinbaseexchange of venue coinbaseexchange.*name it so",
        ),
        ((instrument("XRPUSDT@paper", "XRP"),), "expected symbol XRPUSDT of venue paper, was XRPUSDT@paper"),
    ],
)
def test_a_session_that_cannot_be_booked_says_what_to_do_and_changes_nothing(
    items: tuple[Instrument, ...], words: str
) -> None:
    books = replay([session(*ITEMS)])
    before = books.snapshot()
    with pytest.raises(BooksError, match=words):
        books.apply(session(*ITEMS, *items))
    assert books.snapshot() == before


def test_balances_of_unknown_venues_and_a_home_that_is_another_venue_are_refused() -> None:
    books = replay([session(*ITEMS)])
    with pytest.raises(BooksError, match="USDT@gamma; open a session with the venue's instruments first"):
        books.apply(e.BalanceAdopted(ts=START, asset="USDT@gamma", total=1))
    with pytest.raises(BooksError, match="expected home venue paper, was beta"):
        books.apply(session(BTC, home="beta"))
    books.apply(e.BalanceAdopted(ts=START, asset="USDT", total=5))
    books.apply(session(*ITEMS, home="first", epoch=2))
    assert books.cash_at == {"first": 5 * MONEY_PER_ATOM, "beta": 0, "coinbaseexchange": 0}
    assert books.lines["BTCUSDT"].venue == "first"
