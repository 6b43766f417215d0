"""Whether an address is a paper venue's: it says so itself, before anything signed goes there."""

from __future__ import annotations

from typing import Final

import aiohttp
import msgspec

from workers.adapters.venue import VenueRejected, VenueUnknown, VenueUnreachable

INFO: Final = "/api/v3/exchangeInfo"
LONGEST_S: Final = 5.0


class _Info(msgspec.Struct):
    """The public listing of a paper venue; an exchange's has no such entry."""

    gekko: dict[str, object] | None = None


async def check_paper(session: aiohttp.ClientSession, base: str, name: str) -> None:
    """Ask the public listing below ``base``; VenueRejected unless it says that it is a paper venue's, VenueError."""
    try:
        async with session.get(
            f"{base}{INFO}", timeout=aiohttp.ClientTimeout(LONGEST_S), allow_redirects=False
        ) as answer:
            status, body = answer.status, await answer.read()
    except aiohttp.ClientConnectorError as error:
        raise VenueUnreachable(f"no connection to {name}: {error}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise VenueUnknown(f"{name} does not say what it is: {type(error).__name__} {error}") from error
    if status == 429 or status >= 500:
        raise VenueUnknown(f"{name} does not say what it is: HTTP {status}")
    try:
        told = msgspec.json.decode(body, type=_Info).gekko if status == 200 else None
    except msgspec.DecodeError:
        told = None
    if told is None:
        raise VenueRejected(
            "NO_PAPER_VENUE",
            f"{name} does not say that it is a paper venue; leave its address out to trade at an exchange",
        )
