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
