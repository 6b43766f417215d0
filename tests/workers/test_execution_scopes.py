"""What the control plane wants by scope, as the loop's control takes it: halts, parts to cancel, signed overrides."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.policies.domain.overrides import override_digest
from apps.policies.domain.signatures import override_bytes
from tests.support.kernels import LIMITS, Rig
from workers.engine import events as e
from workers.engine.vocabulary import Side
from workers.live.execution.control import Control, Desired
from workers.live.execution.loop import TradingLoop

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
ONE = 100_000
"""Lots in one BTC, at 100 USDT."""


class Journal:
    async def commit(self) -> None:
        """The rig keeps everything."""


def controlled(**changes: Any) -> tuple[Rig, Control]:
    """A kernel that trades, and the control of a loop that would host it."""
    rig = Rig().open(limits={**LIMITS, **changes})
    rig.top("BTCUSDT", 99_99, 100_01)
    loop = SimpleNamespace(
        kernel=rig.kernel,
        apply=rig.take,
        journal=Journal(),
        config=SimpleNamespace(limits_key=KEY.public_key().public_bytes_raw()),
    )
    return rig, Control(cast("TradingLoop", loop))


def look(**wanted: Any) -> Desired:
    return Desired(control=None, limits=None, runs=[{"run_id": "run-1"}], **wanted)


def leave(**changes: Any) -> dict[str, Any]:
    fields = {
        "id": "o-1",
        "scope": "account",
        "code": "NOTIONAL_ABOVE_LIMIT",
        "amount": "150",
        "until": "2100-01-01T00:00:00Z",
        **changes,
    }
    digest = override_digest(fields)
    return {**fields, "digest": digest, "signature": KEY.sign(override_bytes(fields["id"], digest)).hex()}


def scope(version: int, *, halted: bool = True) -> dict[str, Any]:
    return {"scope": "strategy:test_hand", "halted": halted, "reason": "odd", "by": "ann", "version": version}


def test_the_poll_brings_halts_by_scope_once() -> None:
    rig, control = controlled()
    for _ in range(2):
        asyncio.run(control.take(look(scopes=[scope(1)])))
    assert [event.scope for event in rig.journal if isinstance(event, e.ScopeStateChanged)] == ["strategy:test_hand"]
    assert asyncio.run(control.set_scopes(scopes=[scope(2, halted=False)])) == {"halted": []}
    assert control.problem == ""


def test_a_part_is_cancelled_once_however_often_it_is_told() -> None:
    rig, control = controlled()
    first = rig.order("BTCUSDT", Side.BUY, ONE, 99_50)
    chosen = {"scope": "firm", "symbol": "", "strategy": "", "side": "BUY"}
    told: dict[str, Any] = {"number": 7, "selection": chosen, "reason": "clean up", "by": "ann"}
    asyncio.run(control.cancel_some(**told))
    asyncio.run(control.take(look(cancels=[told])))
    assert [cancel.client_id for cancel in rig.cancels] == [first]
    asyncio.run(control.take(look(cancels=[told, {**told, "number": 8, "selection": {**chosen, "side": "SELL"}}])))
    assert len(rig.cancels) == 1


def test_only_signed_overrides_hold_and_a_changed_one_ends_all() -> None:
    rig, control = controlled(max_order_notional="90")
    held = rig.kernel.desk.risk
    asyncio.run(control.take(look(overrides=[leave()])))
    assert [override.id for override in held.overrides] == ["o-1"]
    assert rig.order("BTCUSDT", Side.BUY, ONE, 100_00) is not None
    asyncio.run(control.take(look(overrides=[leave(), {**leave(id="o-2"), "amount": "99999"}])))
    assert held.overrides == ()
    assert "was not signed" in control.problem
    asyncio.run(control.take(look(overrides=[leave()])))
    assert (len(held.overrides), control.problem) == (1, "")
    asyncio.run(control.take(look()))
    assert held.overrides == ()


def test_what_is_wrong_with_one_thing_keeps_no_other_from_being_taken() -> None:
    rig, control = controlled()
    wrong = {**scope(1), "scope": "planet:mars"}
    asyncio.run(control.take(look(scopes=[wrong, scope(3)], overrides=[leave()])))
    assert list(rig.kernel.desk.risk.ledger.halts) == ["strategy:test_hand"]
    assert "planet:mars" in control.problem
    assert len(rig.kernel.desk.risk.overrides) == 1
