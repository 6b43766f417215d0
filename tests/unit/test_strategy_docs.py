"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.kernels import BTC, Rig
from workers.engine.strategy import Strategy, names
from workers.engine.vocabulary import Reason, Side

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_reason_is_documented_once() -> None:
    text = (DOCS / "reason-codes.md").read_text()
    documented = re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)
    assert sorted(documented) == sorted(reason.value for reason in Reason)


def test_every_hook_is_documented() -> None:
    text = (DOCS / "strategies.md").read_text()
    hooks = [name for name in vars(Strategy) if name.startswith("on_")]
    assert [name for name in hooks if f"`{name}(" not in text] == []


def test_the_strategy_of_the_document_trades() -> None:
    source = re.search(r"```python\n(.*?)```", (DOCS / "strategies.md").read_text(), re.DOTALL)
    assert source is not None
    if "dip" not in names():
        exec(compile(source[1], "strategies.md", "exec", dont_inherit=True), {"__name__": "dip"})
    rig = Rig([BTC])
    rig.open(plan=rig.plan("dip", params={"window": 3, "fraction": 0.0005}))
    for close in (100_00, 100_00, 100_00, 99_00):
        rig.wait(1).bar("BTCUSDT", close)
    bought = rig.sent[0].intent
    rig.fill(bought.client_id, bought.lots, 99_00)
    rig.wait(1).bar("BTCUSDT", 100_00)
    assert [send.intent.side for send in rig.sent] == [Side.BUY, Side.SELL]


def test_the_second_strategy_of_the_document_builds_and_guards() -> None:
    _, source = re.findall(r"```python\n(.*?)```", (DOCS / "strategies.md").read_text(), re.DOTALL)
    if "builder" not in names():
        exec(compile(source, "strategies.md", "exec", dont_inherit=True), {"__name__": "builder"})
    rig = Rig([BTC])
    rig.open(plan=rig.plan("builder", params={"minutes": 1, "fraction": 0.0005}))
    rig.top("BTCUSDT", 99_99, 100_01)
    rig.wait(1).bar("BTCUSDT", 100_00)
    (parent,) = rig.books.parents.values()
    assert (parent.algorithm, parent.side, parent.by) == ("twap", Side.BUY, "builder")
    while parent.status.is_live:
        rig.wait(1).top("BTCUSDT", 99_99, 100_01)
        rig.take(rig.kernel.on_timer(rig.now))
        for send in [send for send in rig.sent if send.intent.client_id in parent.open]:
            rig.fill(send.intent.client_id, send.intent.lots, 100_00)
    rig.bar("BTCUSDT", 100_00)
    held = list(rig.books.conditionals.all.values())
    assert {(one.side, one.lots) for one in held} == {(Side.SELL, parent.filled)}
    assert len(held) == 2
