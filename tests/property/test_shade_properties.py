"""The replayed market as other venues show it, and what a venue asks for in words."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.live.paper_venue.config import ConfigError, VenueConfig
from workers.live.paper_venue.profiles import PROFILES, Profile, ProfileError, parse
from workers.live.paper_venue.shade import Shader
from workers.live.paper_venue.sources.listing import instrument
from workers.live.paper_venue.wire import BookFrame, DepthFrame, Grid, TopFrame, TradeFrame

SYMBOL = "BTCUSDT"
LISTED = instrument(SYMBOL, VenueConfig())
GRID = Grid(LISTED)
PRICES, LOTS = st.integers(1, 500), st.integers(0, 5000)
OFFERS = st.lists(st.tuples(PRICES, LOTS), max_size=6, unique_by=lambda level: level[0])
SHADES = st.builds(
    lambda share, offset, widen: Profile(
        name="other",
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
        share_pct=share,
        offset_ticks=offset,
        widen_ticks=widen,
    ),
    st.integers(1, 300),
    st.integers(-20, 20),
    st.integers(0, 20),
)


def texts(levels: list[tuple[int, int]]) -> list[tuple[str, str]]:
    return [(GRID.price(price), GRID.quantity(lots)) for price, lots in levels]


@given(SHADES, OFFERS, OFFERS)
def test_books_keep_their_order_ids_and_share_and_never_become_crossed(profile, low, high) -> None:
    shader, bids, asks = Shader([LISTED], profile), low, [(price + 500, lots) for price, lots in high]
    frame = DepthFrame(SYMBOL, 3, 7, texts(bids), texts(asks))
    shown = shader.frame(frame)
    assert isinstance(shown, DepthFrame)
    assert (shown.first_id, shown.last_id) == (3, 7)
    book = shader.frame(BookFrame(SYMBOL, 7, frame.bids, frame.asks))
    assert isinstance(book, BookFrame)
    assert (book.bids, book.asks) == (shown.bids, shown.asks)
    offset, widen = profile.offset_ticks, profile.widen_ticks
    for found, given_levels, move in ((shown.bids, bids, offset - widen), (shown.asks, asks, offset + widen)):
        moved = {price + move: lots for price, lots in given_levels if price + move > 0}
        levels = dict(GRID.levels(found))
        assert levels.keys() == moved.keys()
        for price, lots in levels.items():
            assert 0 <= lots - moved[price] * profile.share_pct / 100 < 1
    if shown.bids and shown.asks:
        assert max(GRID.ticks(p) for p, _ in shown.bids) < min(GRID.ticks(p) for p, _ in shown.asks)


@given(SHADES, PRICES, st.integers(1, 40), LOTS, st.booleans())
def test_trades_happen_where_the_venue_shows_its_touch(profile, bid, gap, lots, buyer_maker) -> None:
    shader, ask = Shader([LISTED], profile), bid + gap
    top = TopFrame(SYMBOL, 5, GRID.price(bid), GRID.quantity(9), GRID.price(ask), GRID.quantity(9))
    shown = shader.frame(top)
    trade = TradeFrame(SYMBOL, 4, GRID.price(bid if buyer_maker else ask), GRID.quantity(lots), buyer_maker, 2)
    seen = shader.frame(trade)
    if isinstance(seen, TradeFrame) and isinstance(shown, TopFrame):
        assert seen.price == (shown.bid if buyer_maker else shown.ask)
        assert GRID.lots(seen.qty) == lots * profile.share_pct // 100 > 0
        assert (seen.trade_id, seen.buyer_maker, seen.age_ms) == (4, buyer_maker, 2)
    elif seen is None:
        assert lots * profile.share_pct < 100 or bid + profile.offset_ticks - profile.widen_ticks <= 0


def test_venues_are_asked_for_by_name_profile_and_numbers() -> None:
    beta, east = parse("beta, east:dark:hidden_pct=7:taker_fee=0.0003,")
    assert beta == PROFILES["beta"]
    assert (east.name, east.dark, east.hidden_pct, east.taker_fee) == ("east", True, 7, Decimal("0.0003"))
    (tick,) = {one.tick for one in east.instruments([LISTED])}
    assert tick == LISTED.tick / 2
    config = VenueConfig.from_env({"GEKKO_PAPER_VENUES": "beta,dark"})
    assert [one.name for one in config.venues] == ["beta", "dark"]
    assert len({config.seed, *(config.of(one).seed for one in config.venues)}) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("delta", "one of the profiles beta, gamma, dark, or NAME:PROFILE"),
        ("beta,gamma,beta", "each venue once"),
        ("Beta:beta", "small letters"),
        ("beta:share_pct=0", "share_pct of beta within 1..1000"),
        ("beta:no_such=1", "no_such"),
        ("beta:share_pct=many", "share_pct"),
        ("dark:share_pct=50", "shows no book"),
        ("beta:hidden_pct=5", "hides nothing"),
    ],
)
def test_what_cannot_be_played_is_said(text: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        parse(text)
    with pytest.raises(ConfigError, match="GEKKO_PAPER_VENUES"):
        VenueConfig.from_env({"GEKKO_PAPER_VENUES": text})
