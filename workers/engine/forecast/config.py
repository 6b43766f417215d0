"""What shapes a model and its training, as plain data that travels with the model."""

from __future__ import annotations

import itertools

import msgspec


class ConfigError(ValueError):
    """A configuration that no model can be built from."""


class NHitsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shape of one N-HiTS.

    ``input_size`` and ``horizon`` are bars. Stack ``i`` sees its input max-pooled by ``pool[i]`` and answers with
    ``max(horizon // downsample[i], 1)`` knots, interpolated to the horizon. ``levels`` are probabilities, symmetric
    around the median, which must be among them.
    """

    input_size: int = 64
    horizon: int = 8
    levels: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
    pool: tuple[int, ...] = (8, 4, 1)
    downsample: tuple[int, ...] = (8, 4, 1)
    hidden: int = 96
    layers: int = 2

    def __post_init__(self) -> None:
        if self.input_size < 4 or self.horizon < 1 or self.hidden < 1 or self.layers < 1:
            raise ConfigError(
                "expected input_size >= 4, horizon >= 1, hidden >= 1 and layers >= 1, "
                f"was {self.input_size}, {self.horizon}, {self.hidden} and {self.layers}"
            )
        if len(self.pool) != len(self.downsample) or not self.pool or min(*self.pool, *self.downsample) < 1:
            raise ConfigError(
                f"expected one pool and one downsample >= 1 per stack, was {self.pool}, {self.downsample}"
            )
        if max(self.pool) > self.input_size:
            raise ConfigError(f"expected pool of at most input_size {self.input_size}, was {max(self.pool)}")
        check_levels(self.levels)

    @property
    def median(self) -> int:
        """Index of the median among the levels."""
        return len(self.levels) // 2


def check_levels(levels: tuple[float, ...]) -> None:
    """ConfigError unless ``levels`` rise within (0, 1), are symmetric and have 0.5 in the middle."""
    rising = all(low < high for low, high in itertools.pairwise(levels))
    if not levels or not rising or levels[0] <= 0 or levels[-1] >= 1:
        raise ConfigError(f"expected levels that rise within (0, 1), was {levels}")
    if (
        any(abs(low + high - 1) > 1e-12 for low, high in zip(levels, reversed(levels), strict=True))
        or not len(levels) % 2
    ):
        raise ConfigError(f"expected levels symmetric around 0.5, was {levels}")


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is trained. Fractions are of the bars of each series, oldest first; the rest is for training.

    ``validation`` chooses the weights, ``calibration`` sets the intervals, ``test`` is only measured on.
    ``budget_s`` bounds the wall time; a run that ends within it is the same for the same seed, bit for bit.
    """

    seed: int = 1
    steps: int = 1200
    batch: int = 256
    rate: float = 3e-4
    weight_decay: float = 1e-2
    every: int = 50
    """Steps between two looks at the validation part."""
    patience: int = 8
    """Looks without a better loss after which training ends."""
    target_clip: float = 20.0
    """Targets beyond this many window volatilities count as this many, in the loss alone."""
    validation: float = 0.125
    calibration: float = 0.125
    test: float = 0.15
    budget_s: float = 20.0
    threads: int = 1

    def __post_init__(self) -> None:
        parts = (self.validation, self.calibration, self.test)
        if min(parts) <= 0 or sum(parts) > 0.8:
            raise ConfigError(f"expected positive parts that leave a fifth for training, was {parts}")
        if min(self.steps, self.batch, self.every, self.patience, self.threads) < 1:
            raise ConfigError("expected steps, batch, every, patience and threads of at least 1")
