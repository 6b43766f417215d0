"""The tear sheet: one HTML file with everything in it, to be opened, mailed or kept."""

from __future__ import annotations

from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd

from workers.backtest import stats
from workers.backtest.result import Result
from workers.backtest.svg import BAD, Dots, Line, chart

STYLE: Final = """
body{font:14px/1.5 system-ui,sans-serif;max-width:1060px;margin:2rem auto;padding:0 1rem;color:#1b2430;background:#fff}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}p.sub,small,td.k{color:#5b6675}
code{font-size:.8rem;word-break:break-all}table{border-collapse:collapse;width:100%}
td,th{padding:.25rem .6rem;border-bottom:1px solid #e3e7ee;text-align:left}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums}.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:.5rem}
.cards div{border:1px solid #e3e7ee;border-radius:6px;padding:.5rem .7rem}.cards b{display:block;font-size:1.15rem}
figure{margin:1.2rem 0}figcaption{font-weight:600}figcaption span{margin-left:.8rem;font-weight:400}
figcaption i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.3em}
svg{width:100%;height:auto;display:block}svg text{font:11px system-ui,sans-serif;fill:#5b6675}svg .g{stroke:#eceff4}
@media(prefers-color-scheme:dark){body{background:#12161c;color:#e6e9ee}td,th,.cards div{border-color:#2a313b}
svg .g{stroke:#232a33}p.sub,small,td.k,svg text{color:#98a2b3;fill:#98a2b3}}
"""

Figure = tuple[str, str, str]
"""Key of the summary, words, kind: percent, money, number or count."""
CARDS: Final[tuple[Figure, ...]] = (
    ("total_return", "Total return", "percent"),
    ("annual_return", "Per year", "percent"),
    ("annual_volatility", "Volatility", "percent"),
    ("sharpe", "Sharpe", "number"),
    ("sortino", "Sortino", "number"),
    ("max_drawdown", "Worst drawdown", "percent"),
    ("max_drawdown_days", "Longest drawdown, days", "number"),
    ("calmar", "Calmar", "number"),
    ("exposure", "Time in the market", "percent"),
    ("trades", "Closed trades", "count"),
    ("win_rate", "Won", "percent"),
    ("profit_factor", "Profit factor", "number"),
    ("average_trade", "Average trade", "money"),
    ("fees", "Fees", "money"),
    ("turnover", "Turnover", "money"),
    ("var_breaches", "VaR breaches", "count"),
)


def show(value: Any, kind: str) -> str:
    """A figure in words; a dash where it is not defined."""
    if value is None:
        return "\u2013"
    if kind == "percent":
        return f"{value * 100:,.2f} %"
    return f"{value:,}" if kind == "count" else f"{value:,.2f}"


def tear_sheet(result: Result) -> str:
    """The whole page as HTML."""
    summary = result.summary
    title = f"{summary['strategy']} on {summary['data']}"
    cards = "".join(
        f"<div><small>{words}</small><b>{show(summary.get(key), kind)}</b></div>" for key, words, kind in CARDS
    )
    span = f"{summary['start']} to {summary['end']}, {summary['events']:,} events, {summary['gaps']:,} missing"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'<h1>{escape(title)}</h1><p class="sub">{escape(span)}. Amounts in {escape(result.quote)}.</p>'
        f'<div class="cards">{cards}</div>{"".join(_charts(result))}{_worst_trades(result)}{_settings(result)}'
        "</body></html>\n"
    )


def _charts(result: Result) -> list[str]:
    times, equity = result.times, result.equity
    if len(times) < 2:
        return ["<p>The test is too short to draw.</p>"]
    return [
        chart("Equity", times, [Line("equity", equity)], height=280),
        chart("Drawdown", times, [Line("from the highest equity", stats.drawdowns(equity), filled=True)], percent=True),
        chart(
            "Exposure", times, [Line("gross, of equity", result.gross / equity, filled=True)], height=150, percent=True
        ),
        _trades(result),
        _costs(result),
        _breaches(result),
    ]


def _trades(result: Result) -> str:
    ends = np.array([trade.exit_ns for trade in result.closed], np.int64)
    gains = np.array([stats.money(trade.pnl) for trade in result.closed])
    summed = np.cumsum(gains)
    won = gains > 0
    dots = [Dots("won", ends[won], gains[won], "#1f9d61"), Dots("lost", ends[~won], gains[~won])]
    few = dots if len(gains) <= 1500 else []
    line = Line("profit of closed trades, summed", summed)
    return chart(f"Trades ({len(gains):,} closed)", ends, [line], dots=few)


def _costs(result: Result) -> str:
    instruments = result.instruments
    at, paid = [], []
    for fill in result.fills:
        instrument = instruments[fill.symbol]
        at.append(fill.ts)
        in_base = fill.fee_asset == instrument.base
        paid.append(stats.money(fill.fee * (fill.price * instrument.value_factor if in_base else 10**8)))
    line = Line("fees, summed", np.cumsum(np.array(paid, np.float64)), filled=True)
    return chart("Costs", np.array(at, np.int64), [line], height=150)


def _breaches(result: Result) -> str:
    name, times, returns = stats.var_periods(result.times, result.equity)
    level = stats.var_series(returns)
    bad = -returns > level + 1e-15
    dots = [Dots("loss beyond it", times[bad], returns[bad], BAD)]
    lines = [Line(f"return per {name}", returns), Line("95 % value at risk before it", -level)]
    summary = result.summary
    said = f"VaR breaches: {summary['var_breaches']} of {summary['var_judged']} ({summary['var_expected']} expected)"
    return chart(said, times, lines, dots=dots if int(bad.sum()) <= 1500 else [], percent=True)


def _worst_trades(result: Result) -> str:
    trades = result.trades
    if trades.empty:
        return "<h2>Trades</h2><p>No trade was closed.</p>"
    worst = trades.sort_values("pnl", kind="stable")
    rows = pd.concat([worst.head(5), worst.tail(5)]) if len(worst) > 10 else worst
    body = "".join(
        f"<tr><td>{row.symbol}</td><td>{row.side}</td><td>{row.entry_time:%Y-%m-%d %H:%M:%S}</td>"
        f'<td>{row.exit_time:%Y-%m-%d %H:%M:%S}</td><td class="n">{row.quantity:g}</td>'
        f'<td class="n">{row.entry_price:,.8g}</td><td class="n">{row.exit_price:,.8g}</td>'
        f'<td class="n">{row.pnl:,.2f}</td></tr>'
        for row in rows.itertuples()
    )
    names = ("Symbol", "Side", "Entry, UTC", "Exit, UTC", "Quantity", "Entry price", "Exit price", "Profit")
    head = "".join(
        f'<th class="n">{name}</th>' if place > 3 else f"<th>{name}</th>" for place, name in enumerate(names)
    )
    return f"<h2>Worst and best trades</h2><table><tr>{head}</tr>{body}</table>"


def _settings(result: Result) -> str:
    config, summary = result.config, result.summary
    rows = {
        "Parameters": ", ".join(f"{name} {value}" for name, value in sorted(config.params.items())) or "defaults",
        "Capital": f"{config.capital} {result.quote}",
        "Fees": f"maker {config.maker_fee}, taker {config.taker_fee} of notional",
        "Latency": _latency(result),
        "Seed": str(config.seed),
        "Orders": f"{summary['orders']:,} accepted by the gate; denied: {summary['denied'] or 'none'}",
        "Inputs": summary["inputs"],
        "Journal": f"{summary['journal_records']:,} records, head {summary['journal_head']}",
        "Fingerprint": summary["fingerprint"],
    }
    body = "".join(f'<tr><td class="k">{k}</td><td><code>{escape(str(v))}</code></td></tr>' for k, v in rows.items())
    return f"<h2>How it was made</h2><table>{body}</table>"


def _latency(result: Result) -> str:
    latency = result.config.latency
    parts = (("feed", latency.feed), ("order entry", latency.entry), ("response", latency.response))
    return "; ".join(
        f"{name} {delay.constant_ns / 1e6:g} ms"
        + (f" + lognormal median {delay.median_ns / 1e6:g} ms, sigma {delay.sigma:g}" if delay.median_ns else "")
        for name, delay in parts
    )
