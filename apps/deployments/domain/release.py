"""What makes a release: its content in canonical form, and the digests that name it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final

from apps.core.errors import Invalid
from apps.deployments.domain.shares import is_share

MINUTE_NS: Final = 60_000_000_000
_STRATEGY: Final = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
_DIGEST: Final = re.compile(r"^(sha256:)?[0-9a-f]{16,64}$")
_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9/_\-]*(@[a-z][a-z0-9_\-]*)?")
"""A venue's own symbol, and behind ``@`` the venue where it is not the home venue."""
LONGEST_SYMBOL: Final = 32


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything that decides what a release does."""

    strategy: str
    params: dict[str, Any]
    model_digest: str
    limits_version: int
    limits_digest: str
    instruments: list[str]
    interval_ns: int
    capital_share: str | None = None
    """Part of the account's equity that a run sizes by; None for all of it. Not part of what the strategy is given."""

    @property
    def config_hash(self) -> str:
        """SHA-256 over what the strategy is given, without model and limits."""
        return _sha256([self.strategy, self.params, self.instruments, self.interval_ns])

    @property
    def digest(self) -> str:
        """SHA-256 over all of it, as far as it is given."""
        content = asdict(self)
        if self.capital_share is None:
            del content["capital_share"]
        return _sha256(content)


def checked(content: Content) -> Content:
    """``content``; Invalid with a message per wrong field."""
    wrong: dict[str, list[str]] = {}
    if not _STRATEGY.match(content.strategy):
        wrong["strategy"] = [f"expected a name such as forecast_portfolio, was {content.strategy!r}"]
    if content.model_digest and not _DIGEST.match(content.model_digest):
        wrong["model_digest"] = [f"expected a SHA-256 in hex, was {content.model_digest!r}"]
    if not content.instruments:
        wrong["instruments"] = ["name at least one instrument"]
    bad = [one for one in content.instruments if len(one) > LONGEST_SYMBOL or not _SYMBOL.fullmatch(one)]
    if bad or len(set(content.instruments)) != len(content.instruments):
        wrong["instruments"] = [f"expected different ones such as BTCUSDT or BTCUSDT@beta, was {content.instruments}"]
    if not 1_000_000_000 <= content.interval_ns <= 1440 * MINUTE_NS:
        wrong["interval_ns"] = [f"expected one second to one day in ns, was {content.interval_ns}"]
    if content.capital_share is not None and not is_share(Decimal(content.capital_share)):
        said = "expected a number above 0 and up to 1, with at most six decimals"
        wrong["capital_share"] = [f"{said}, was {content.capital_share}"]
    try:
        json.dumps(content.params, allow_nan=False)
    except (TypeError, ValueError) as error:
        wrong["params"] = [f"expected finite JSON values: {error}"]
    if wrong:
        raise Invalid("; ".join(f"{name}: {said[0]}" for name, said in sorted(wrong.items())), **wrong)
    return content


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
