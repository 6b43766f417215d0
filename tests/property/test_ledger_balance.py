"""Double entry, cost methods and attribution over random journals: everything balances to the last money unit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_books_conservation import OPENING, SYMBOLS, adoptions, intended, lots, marks, prices, sides
from tests.support.kernels import BTC, START, Rig, make_fill
from workers.engine import events as e
from workers.engine.accounting.attribution import Attribution, Dimension, roll_up
from workers.engine.accounting.books import Books
from workers.engine.accounting.ledger import Account, Ledger, post
from workers.engine.accounting.line import Line
from workers.engine.accounting.lots import CostMethod, FifoLine
from workers.engine.accounting.valuation import Valuation
from workers.engine.instruments import MONEY_PER_ATOM
from workers.engine.vocabulary import Side

RUNS = {"run-a": "dip", "run-b": "cross", "run-c": "dip"}
DESKS = {"fast": ("cross",), "slow": ("dip",)}
symbols = st.sampled_from(sorted(SYMBOLS))
fills = st.builds(
    make_fill,
    client_id=st.sampled_from([*(f"{run}-1" for run in RUNS), "foreign-1"]),
    symbol=symbols,
    side=sides,
    lots=lots,
    price=prices,
    trade_id=st.integers(1, 60),
    fee=st.integers(0, 3000),
    fee_asset=st.sampled_from(["USDT", "BTC", "ETH", "BNB"]),
)
fundings = st.builds(
    e.FundingSettled,
    ts=st.just(START),
    symbol=symbols,
    amount=st.integers(-(10**9), 10**9),
    ts_event=st.integers(1, 12),
)
marked = st.builds(
    lambda at: e.Marked(
        ts=START, equity=0, realised=0, unrealised=0, fees=0, cash=0, gross=0, drawdown=0, positions={}, marks=at
    ),
    at=marks,
)


@st.composite
def journals(draw: st.DrawFn) -> list[e.JournalEvent]:
    """Three runs of two strategies, one order each, and whatever may move value, in any order."""
    begun: list[e.JournalEvent] = [*OPENING]
    for run, strategy in RUNS.items():
        begun.append(
            e.RunStarted(
                ts=START, run_id=run, release="r", strategy=strategy, params={}, model_digest="", limits_version=1
            )
        )
        order = intended(f"{run}-1", draw(symbols), draw(sides), 1, 0)
        begun.append(
            e.OrderIntended(**{f: getattr(order, f) for f in order.__struct_fields__ if f != "run_id"}, run_id=run)
        )
    return begun + draw(st.lists(st.one_of(fills, fills, fundings, adoptions, marked), max_size=40))


@given(journals())
@settings(max_examples=150, deadline=None)
def test_every_entry_balances_and_accounts_are_the_books(journal: list[e.JournalEvent]) -> None:
    ledger, entries = post(journal)
    for entry in entries:
        assert sum(posting.value for posting in entry.postings) == 0
    books = Books()
    for event in journal:
        books.apply(event)
    totals = ledger.totals
    assert totals[Account.CASH] == books.cash == ledger.cash
    assert totals[Account.INVENTORY] == books.cost
    assert totals[Account.REALISED] == -books.realised
    assert totals[Account.FEES] == books.fees
    assert totals[Account.FUNDING] == -books.funding
    assert totals[Account.EQUITY] == -books.capital
    for symbol, line in books.lines.items():
        mine = ledger.lines[symbol]
        assert (mine.position, mine.cost, mine.realised, mine.fees) == (
            line.position,
            line.cost,
            line.realised,
            line.fees,
        )
        moved = sum(p.atoms for entry in entries for p in entry.postings if p.symbol == symbol)
        assert moved == line.position
    assert ledger.other == {asset: held for asset, held in books.other.items() if asset in ledger.other}


@given(journals(), marks)
@settings(max_examples=100, deadline=None)
def test_first_in_first_out_parts_the_same_profit_differently(
    journal: list[e.JournalEvent], at: dict[str, int]
) -> None:
    average, _ = post(journal)
    fifo, entries = post(journal, CostMethod.FIFO)
    assert all(sum(posting.value for posting in entry.postings) == 0 for entry in entries)
    assert fifo.cash == average.cash
    total = 0
    for symbol, line in average.lines.items():
        other = fifo.lines[symbol]
        assert (other.position, other.unpriced) == (line.position, line.unpriced)
        total += line.realised - line.cost - line.fees - (other.realised - other.cost - other.fees)
        assert sum(count for count, _ in other.lots) + other.unpriced == other.position  # type: ignore[attr-defined]
        assert sum(cost for _, cost in other.lots) == other.cost  # type: ignore[attr-defined]
    # What is brought in or paid out of the account is worth its cost, and that is the method's.
    assert total == average.totals[Account.EQUITY] - fifo.totals[Account.EQUITY]


@given(st.lists(st.tuples(sides, lots, prices), min_size=1, max_size=30), prices)
def test_realised_and_unrealised_together_are_the_same_by_either_method(
    trades: list[tuple[Side, int, int]], mark: int
) -> None:
    average, fifo = Line(BTC), FifoLine(BTC)
    for side, size, price in trades:
        for line in (average, fifo):
            line.trade(int(side) * size * BTC.lot_atoms, size * price * BTC.lot_value)
    assert average.position == fifo.position
    worth = average.position * mark * BTC.value_factor
    assert average.realised + worth - average.cost == fifo.realised + worth - fifo.cost
    if not average.position:
        assert average.realised == fifo.realised


def test_a_sale_takes_the_oldest_lots() -> None:
    line = FifoLine(BTC)
    assert line.trade(10, 100) == 0
    assert line.trade(10, 300) == 0
    assert line.trade(-15, 450) == 450 - (100 + 150)
    assert list(line.lots) == [(5, 150)]
    assert line.trade(-10, 200) == 100 - 150
    assert (line.position, line.cost, list(line.lots)) == (-5, -100, [(-5, -100)])


@given(journals(), marks)
@settings(max_examples=150, deadline=None)
def test_parts_of_the_profit_sum_to_the_whole_every_way(journal: list[e.JournalEvent], at: dict[str, int]) -> None:
    ledger, books = Ledger(), Books()
    parts = Attribution(ledger)
    for event in journal:
        parts.apply(event, ledger.apply(event))
        books.apply(event)
    for symbol, line in books.lines.items():
        line.mark = at.get(symbol, 0)
        for key, cell in parts.cells.items():
            assert key[1] != symbol or cell.unpriced in (0, line.unpriced)
        assert sum(cell.position for key, cell in parts.cells.items() if key[1] == symbol) == line.position
    whole = Valuation(books)
    shares = parts.shares("paper", at)
    lost = books.funding - sum(line.funding for line in books.lines.values())
    assert lost == 0
    for by in ("strategy", "instrument", "venue", "desk"):
        dimension: Dimension = by
        rows = roll_up(shares, dimension, DESKS)
        assert sum(row.realised for row in rows) == books.realised
        assert sum(row.unrealised for row in rows) == whole.unrealised
        assert sum(row.fees for row in rows) == books.fees
        assert sum(row.funding for row in rows) == books.funding
        assert sum(row.total for row in rows) == whole.pnl
    netted = [share for share in shares if share.strategy == "netting"]
    assert all(share.total == 0 for share in netted if at.get(share.symbol))


def test_two_strategies_that_net_each_other_keep_their_own_profit() -> None:
    journal: list[e.JournalEvent] = [*OPENING]
    for run, strategy in (("a", "dip"), ("b", "cross")):
        journal.append(
            e.RunStarted(
                ts=START, run_id=run, release="r", strategy=strategy, params={}, model_digest="", limits_version=1
            )
        )
        order = intended(f"{run}-1", "BTCUSDT", Side.BUY, 10, 0)
        journal.append(
            e.OrderIntended(**{f: getattr(order, f) for f in order.__struct_fields__ if f != "run_id"}, run_id=run)
        )
    journal += [
        make_fill(client_id="a-1", symbol="BTCUSDT", side=Side.BUY, lots=10, price=100, trade_id=1, fee=0),
        make_fill(client_id="b-1", symbol="BTCUSDT", side=Side.SELL, lots=10, price=120, trade_id=2, fee=0),
    ]
    ledger = Ledger()
    parts = Attribution(ledger)
    for event in journal:
        parts.apply(event, ledger.apply(event))
    rows = {row.key: row for row in roll_up(parts.shares("paper", {"BTCUSDT": 130}), "strategy")}
    unit = 10 * BTC.lot_value
    assert rows["dip"].total == 30 * unit
    assert rows["cross"].total == -10 * unit
    assert (rows["netting"].realised, rows["netting"].unrealised) == (20 * unit, -20 * unit)


def test_a_settlement_through_the_kernel_counts_once_and_moves_equity() -> None:
    rig = Rig().open()
    before = rig.kernel.desk.valuation.equity
    paid = e.FundingSettled(ts=rig.now, symbol="BTCUSDT", amount=-250, ts_event=rig.now)
    for _ in range(2):
        rig.take(rig.kernel.on_report(paid, rig.now))
    assert [event for event in rig.journal if isinstance(event, e.FundingSettled)] == [paid]
    moved = -250 * MONEY_PER_ATOM
    valuation = rig.kernel.desk.valuation
    assert (valuation.equity - before, valuation.pnl, valuation.sample(rig.now).funding) == (moved, moved, moved)
    assert rig.kernel.books.lines["BTCUSDT"].funding == moved
