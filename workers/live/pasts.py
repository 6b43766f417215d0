"""Whose candles reports, rebalances and trainings read, by the settings that the execution worker goes by."""

from __future__ import annotations

from functools import cache
from typing import Final

from django.conf import settings

from workers.adapters.feeds import Access, endpoints
from workers.adapters.past import NativePast, Past
from workers.engine.market.venues import PAPER_DARK, rules_of

BINANCE_LIKE: Final = ("paper", PAPER_DARK.code, "binanceus")
NATIVE: Final = ("coinbase", "coinbaseexchange", "oanda")
BY_CCXT: Final = "ccxt:"
HOME: Final = ""


def pasts() -> dict[str, Past]:
    """By the name of the venue (``HOME`` for the home venue), of all that do not speak Binance's protocol."""
    home = None
    if settings.GEKKO_MODE != "paper":
        home = past_of(
            settings.GEKKO_VENUE_CODE or settings.GEKKO_VENUE_NAME,
            key=settings.GEKKO_VENUE_API_KEY,
            secret=settings.GEKKO_VENUE_API_SECRET,
            password=settings.GEKKO_VENUE_API_PASSWORD,
            rest_url=settings.GEKKO_VENUE_REST_URL,
        )
    made = {} if home is None else {HOME: home}
    for one in settings.GEKKO_OTHER_VENUES:
        found = None
        if not one.url:
            code = one.code or one.name
            found = past_of(
                code, key=one.api_key, secret=one.api_secret, password=one.api_password, rest_url=one.rest_url
            )
        if found is not None:
            made[one.name] = found
    return made


def home_past() -> Past | None:
    """The home venue's where no paper venue plays it, Binance.US itself among them."""
    found = pasts().get(HOME)
    if found is None and settings.GEKKO_MODE != "paper":
        return NativePast("binanceus", endpoints(rules_of("binanceus"), settings.GEKKO_VENUE_REST_URL))
    return found


@cache
def past_of(code: str, *, key: str, secret: str, password: str = "", rest_url: str = "") -> Past | None:
    """The past of the venue that the execution worker calls ``code``; None where Binance's protocol is spoken.

    The same venue is the same object, so that all who ask share its request budget.
    """
    bare = code.removeprefix(BY_CCXT)
    if code in BINANCE_LIKE:
        return None
    if code in NATIVE:
        access = Access(secret, key) if code == "oanda" else Access()
        return NativePast(code, endpoints(rules_of(code), rest_url), access)
    # A second of imports that only such a venue needs.
    from workers.adapters.ccxt_past import CcxtPast  # noqa: PLC0415

    given = {"apiKey": key, "secret": secret, "password": password}
    return CcxtPast(bare, {name: value for name, value in given.items() if value}, url=rest_url or None)
