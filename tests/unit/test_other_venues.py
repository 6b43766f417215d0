"""Further venues of the account, as the environment names them."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from controlplane.venues import Home, OtherVenue, other_venues

HOME = Home("paper", "http://127.0.0.1:18010", "key", "secret")


def test_without_a_word_there_is_the_home_venue_alone() -> None:
    assert other_venues(HOME, paper=True) == ()


def test_what_the_paper_process_plays_is_reached_under_its_path_with_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEKKO_PAPER_VENUES", "beta, gamma, night:dark:hidden_pct=20")
    monkeypatch.setenv("GEKKO_VENUE_GAMMA_SYMBOLS", "BTCUSDT,ETHUSDT")
    url = "http://127.0.0.1:18010/venues/"
    assert other_venues(HOME, paper=True) == (
        OtherVenue("beta", "key", "secret", f"{url}beta"),
        OtherVenue("gamma", "key", "secret", f"{url}gamma", symbols=("BTCUSDT", "ETHUSDT")),
        OtherVenue("night", "key", "secret", f"{url}night", "paper_dark"),
    )
    assert other_venues(HOME, paper=False) == ()


def test_a_named_venue_brings_its_own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEKKO_OTHER_VENUES", "cb-one")
    with pytest.raises(ImproperlyConfigured, match="GEKKO_VENUE_CB_ONE_API_KEY, GEKKO_VENUE_CB_ONE_API_SECRET"):
        other_venues(HOME, paper=False)
    for field, value in {"API_KEY": "k", "API_SECRET": "s", "CODE": "coinbase"}.items():
        monkeypatch.setenv(f"GEKKO_VENUE_CB_ONE_{field}", value)
    assert other_venues(HOME, paper=False) == (OtherVenue("cb-one", "k", "s", code="coinbase"),)


@pytest.mark.parametrize("names", ["paper", "beta,beta", "Beta", "a@b", "-beta"])
def test_a_name_that_is_taken_or_cannot_be_part_of_a_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    monkeypatch.setenv("GEKKO_PAPER_VENUES", names)
    with pytest.raises(ImproperlyConfigured, match="venue"):
        other_venues(HOME, paper=True)
