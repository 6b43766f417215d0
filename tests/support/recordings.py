"""The recordings of other programs than ours: cryptofeed's lines of ``<seconds>: <frame>``."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from workers.adapters.coinbase.products import exchange
from workers.engine.instruments import Instrument

SECOND = 1_000_000_000


def cryptofeed_frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """``(receive time in ns, frame)`` of every received websocket frame; requests and empty lines are left out."""
    with path.open("rb") as lines:
        for line in lines:
            stamp, mark, raw = line.rstrip(b"\n").partition(b": ")
            if mark and raw.startswith(b"{") and b" " not in stamp:
                whole, _, fraction = stamp.partition(b".")
                yield int(whole) * SECOND + int(fraction.ljust(9, b"0")[:9]), raw


def coinbase_products(folder: Path, symbols: list[str]) -> dict[str, Instrument]:
    """Instruments from the recorded answer of the exchange's product list."""
    for line in (folder / "COINBASE.0").read_bytes().splitlines():
        _, mark, raw = line.partition(b": ")
        if mark and raw.startswith(b"["):
            zero = Decimal(0)
            return exchange(raw, venue="coinbaseexchange", symbols=symbols, maker_fee=zero, taker_fee=zero)
    raise AssertionError(f"no product list in {folder}")
