"""Further venues of the account, from the environment: each has a name, and settings that carry the name.

``GEKKO_OTHER_VENUES=beta`` asks for ``GEKKO_VENUE_BETA_API_KEY`` and ``_API_SECRET``, and takes ``_URL``, ``_CODE``,
``_API_PASSWORD``, ``_REST_URL``, ``_STREAM_URL`` and ``_SYMBOLS``. What the paper venue's process plays besides the
home venue (``GEKKO_PAPER_VENUES``) needs none of them.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from controlplane import environment as env

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,30}")


DARK: Final = "paper_dark"
"""Code of a paper venue that shows no book, see docs/venues.md."""


class OtherVenue(NamedTuple):
    """One venue besides the home venue."""

    name: str
    api_key: str
    api_secret: str
    url: str = ""
    """Base of a paper venue; empty for the exchange itself."""
    code: str = ""
    """Which exchange it is, see docs/venues.md; empty: a paper venue with a URL, else what it is named."""
    api_password: str = ""
    rest_url: str = ""
    stream_url: str = ""
    symbols: tuple[str, ...] = ()
    """The venue's own symbols; empty for all that it lists."""


class Home(NamedTuple):
    """What other venues are told apart from, and what those of the same process share with it."""

    name: str
    url: str
    api_key: str
    api_secret: str


def other_venues(home: Home, *, paper: bool) -> tuple[OtherVenue, ...]:
    """All that the environment names, those of the paper venue's process first.

    Outside of paper trading that process counts for nothing. ImproperlyConfigured names the variable that is wrong.
    """
    words = env.words("GEKKO_PAPER_VENUES", []) if paper else []
    played = {word.split(":")[0]: word for word in words}
    named = env.words("GEKKO_OTHER_VENUES", [])
    seen = {home.name}
    for name in (*(word.split(":")[0] for word in words), *named):
        if not NAME.fullmatch(name):
            raise ImproperlyConfigured(f"expected a venue's name in small letters, digits, - and _, was {name!r}")
        if name in seen:
            raise ImproperlyConfigured(f"expected each venue once, was {name!r} again; take it off one of the lists")
        seen.add(name)
    return tuple([_played(name, word, home) for name, word in played.items()] + [_named(name) for name in named])


def _played(name: str, word: str, home: Home) -> OtherVenue:
    profile = next((part for part in word.split(":")[1:2] if "=" not in part), name)
    url = f"{home.url.rstrip('/')}/venues/{name}"
    code = DARK if profile == "dark" else ""
    return OtherVenue(name, home.api_key, home.api_secret, url, code, symbols=tuple(_words(name, "SYMBOLS")))


def _named(name: str) -> OtherVenue:
    fields = {field: env.text(_variable(name, field.upper()), "") for field in OtherVenue._fields[1:-1]}
    missing = [_variable(name, field.upper()) for field in ("api_key", "api_secret") if not fields[field]]
    if missing:
        raise ImproperlyConfigured(f"{', '.join(missing)} must be set, as GEKKO_OTHER_VENUES names {name}")
    return OtherVenue(name, symbols=tuple(_words(name, "SYMBOLS")), **fields)


def _words(name: str, field: str) -> list[str]:
    return env.words(_variable(name, field), [])


def _variable(name: str, field: str) -> str:
    return f"GEKKO_VENUE_{name.upper().replace('-', '_')}_{field}"
