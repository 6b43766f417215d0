"""The order book."""

import pytest

from tests.support.market_events import delta, snapshot
from workers.engine.market.book import BookError, OrderBook


@pytest.fixture
def book() -> OrderBook:
    made = OrderBook()
    made.load(snapshot(10, bids=((99, 1), (100, 2), (98, 3)), asks=((104, 1), (102, 4))))
    return made


def test_best_prices_and_top_are_best_first(book: OrderBook) -> None:
    assert (book.bids.best(), book.asks.best()) == (100, 102)
    assert book.bids.top(2) == [(100, 2), (99, 1)]
    assert book.asks.top(9) == [(102, 4), (104, 1)]
    assert not book.crossed


def test_update_sets_deletes_and_inserts(book: OrderBook) -> None:
    book.apply(delta(11, 12, bids=((100, 0), (99, 7), (97, 1)), asks=((101, 2),)))
    assert book.bids.top(9) == [(99, 7), (98, 3), (97, 1)]
    assert book.asks.best() == 101
    assert book.last_id == 12


def test_deleting_an_unknown_level_changes_nothing(book: OrderBook) -> None:
    book.apply(delta(11, 11, bids=((50, 0),)))
    assert len(book.bids) == 3


def test_empty_side_has_no_best_price() -> None:
    book = OrderBook()
    assert book.bids.best() == 0
    assert book.asks.best() == 0
    assert not book.crossed


@pytest.mark.parametrize("bid", [102, 103])
def test_locked_and_crossed_books_are_seen(book: OrderBook, bid: int) -> None:
    book.apply(delta(11, 11, bids=((bid, 1),)))
    assert book.crossed


@pytest.mark.parametrize("level", [(0, 1), (-1, 1), (5, -1)])
def test_impossible_level_is_refused_by_name(book: OrderBook, level: tuple[int, int]) -> None:
    with pytest.raises(BookError, match="expected"):
        book.apply(delta(11, 11, bids=(level,)))


def test_snapshot_leaves_out_empty_levels_and_replaces_all(book: OrderBook) -> None:
    book.load(snapshot(20, bids=((90, 0), (80, 1)), asks=()))
    assert book.bids.top(5) == [(80, 1)]
    assert len(book.asks) == 0
    assert book.bids.total_lots() == 1
