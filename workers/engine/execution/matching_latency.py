"""Order entry delay of a simulated venue: a constant plus a lognormal part, repeatable under a seed."""

from __future__ import annotations

import math

_MASK = (1 << 64) - 1


class SplitMix64:
    """Small seeded generator (Steele, Lea, Flood 2014): the same numbers on every Python version."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def bits(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def uniform(self) -> float:
        """A number in the open interval (0, 1)."""
        return ((self.bits() >> 11) + 0.5) * 2.0**-53

    def normal(self) -> float:
        """A standard normal number (Box-Muller)."""
        return math.sqrt(-2.0 * math.log(self.uniform())) * math.cos(2.0 * math.pi * self.uniform())


class LatencyModel:
    """Delay from the order's arrival to its turn in the engine.

    ``constant_ns`` is the floor; ``median_ns`` and ``sigma`` shape the lognormal part, which zero leaves out.
    """

    def __init__(self, *, seed: int, constant_ns: int, median_ns: int, sigma: float) -> None:
        if constant_ns < 0 or median_ns < 0 or not 0.0 <= sigma < 10.0:
            raise ValueError(f"expected delays >= 0 and 0 <= sigma < 10, was {constant_ns}, {median_ns}, {sigma}")
        self._random = SplitMix64(seed)
        self._constant_ns = constant_ns
        self._median_ns = median_ns
        self._sigma = sigma

    def sample_ns(self) -> int:
        """The next delay in ns."""
        if not self._median_ns:
            return self._constant_ns
        return self._constant_ns + round(self._median_ns * math.exp(self._sigma * self._random.normal()))
