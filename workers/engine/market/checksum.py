"""Book checksums as venues define them: CRC32 (ISO 3309) over the texts of the best levels. Pure.

The texts must be the venue's own, with its trailing zeros: formatting a parsed number again loses them.

* Kraken (book checksum guide, websocket v1 and v2): the ten best asks from low to high, then the ten best bids from
  high to low; of each level price and quantity without the point and without leading zeros. Unsigned.
* OKX (v5 books channel): up to 25 levels a side, interleaved ``bid:qty:ask:qty``, the longer side going on alone, all
  joined by colons. Signed 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final
from zlib import crc32

from workers.engine.market.book import OrderBook

TextLevel = tuple[str, str]
"""(price, quantity) as the venue wrote them."""

KRAKEN_LEVELS: Final = 10
OKX_LEVELS: Final = 25


def kraken_checksum(bids: Sequence[TextLevel], asks: Sequence[TextLevel]) -> int:
    """Unsigned CRC32 of a book whose sides are sorted best first."""
    levels = chain(asks[:KRAKEN_LEVELS], bids[:KRAKEN_LEVELS])
    return crc32("".join(_bare(price) + _bare(quantity) for price, quantity in levels).encode())


def kraken_book_checksum(book: OrderBook, price_decimals: int, quantity_decimals: int) -> int:
    """The same of a book in ticks and lots of those precisions; a difference to the venue's means: fetch it afresh.

    Source of the precisions: the venue's ``instrument`` channel.
    """
    sides = [
        [(decimal_text(p, price_decimals), decimal_text(q, quantity_decimals)) for p, q in side.top(KRAKEN_LEVELS)]
        for side in (book.bids, book.asks)
    ]
    return kraken_checksum(*sides)


def okx_checksum(bids: Sequence[TextLevel], asks: Sequence[TextLevel]) -> int:
    """Signed CRC32 of a book whose sides are sorted best first."""
    unsigned = crc32(":".join(_interleaved(bids[:OKX_LEVELS], asks[:OKX_LEVELS])).encode())
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned


def decimal_text(count: int, unit_exponent: int) -> str:
    """``count`` units of ``10**-unit_exponent`` with that many decimals, as a venue of that precision writes it."""
    if not unit_exponent:
        return str(count)
    digits = str(count).rjust(unit_exponent + 1, "0")
    return f"{digits[:-unit_exponent]}.{digits[-unit_exponent:]}"


def _bare(text: str) -> str:
    return text.replace(".", "").lstrip("0")


def _interleaved(bids: Sequence[TextLevel], asks: Sequence[TextLevel]) -> Iterable[str]:
    for index in range(max(len(bids), len(asks))):
        for side in (bids, asks):
            if index < len(side):
                yield from side[index]
