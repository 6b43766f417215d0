"""Balances of the account at the venue: free and locked atoms per asset. Nothing goes below zero."""

from __future__ import annotations

from collections.abc import Mapping


class Balances:
    """Free and locked atoms; every change names the asset, and ``touched`` collects which ones changed."""

    def __init__(self, free: Mapping[str, int]) -> None:
        for asset, amount in free.items():
            if amount < 0:
                raise ValueError(f"expected balance of {asset} >= 0 atoms, was {amount}")
        self._free: dict[str, int] = dict(free)
        self._locked: dict[str, int] = dict.fromkeys(free, 0)
        self.touched: set[str] = set()

    def free(self, asset: str) -> int:
        """Atoms that can be spent."""
        return self._free.get(asset, 0)

    def locked(self, asset: str) -> int:
        """Atoms held for open orders."""
        return self._locked.get(asset, 0)

    def total(self, asset: str) -> int:
        """Free and locked atoms together."""
        return self.free(asset) + self.locked(asset)

    def assets(self) -> tuple[str, ...]:
        """Every asset that the account has ever held, in order of name."""
        return tuple(sorted(self._free))

    def credit(self, asset: str, amount: int) -> None:
        """Add to the free atoms."""
        self._change(asset, amount, 0)

    def debit(self, asset: str, amount: int) -> None:
        """Take from the free atoms."""
        self._change(asset, -amount, 0)

    def lock(self, asset: str, amount: int) -> None:
        """Move free atoms under lock."""
        self._change(asset, -amount, amount)

    def unlock(self, asset: str, amount: int) -> None:
        """Move locked atoms back to free."""
        self._change(asset, amount, -amount)

    def spend_locked(self, asset: str, amount: int) -> None:
        """Pay out of the locked atoms."""
        self._change(asset, 0, -amount)

    def _change(self, asset: str, free: int, locked: int) -> None:
        new_free = self._free.get(asset, 0) + free
        new_locked = self._locked.get(asset, 0) + locked
        if new_free < 0 or new_locked < 0:
            raise ValueError(f"expected balance of {asset} >= 0, would be free {new_free} locked {new_locked} atoms")
        self._free[asset] = new_free
        self._locked[asset] = new_locked
        self.touched.add(asset)
