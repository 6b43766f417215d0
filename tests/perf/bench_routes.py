"""Speed of a routing decision: two venues with 20 levels each and a dark one, on SYNTHETIC books.

``decide`` is the pure decision, ``journalled`` all of it from the request of a person to the sends of its legs: view of
the desk, decision, journal event, and the gate for every leg. Run with ``python -m tests.perf.bench_routes``.
"""

from __future__ import annotations

import os
import time
from typing import Final

from tests.support.routes import HOME, MIDDLE, World, listed
from workers.engine.execution.parent import ParentRequest
from workers.engine.execution.routing.router import decide
from workers.engine.vocabulary import Side

ROUNDS: Final = 2000


def deep(world: World) -> World:
    """20 levels on either side of every lit book."""
    for symbol, sides in world.shown.items():
        for side in sides:
            world.shown[symbol][side] = [(MIDDLE - int(side) * (1 + step), 10 + step) for step in range(20)]
    return world


def row(name: str, taken: list[int]) -> None:
    taken.sort()
    p50, p99 = taken[len(taken) // 2] / 1000, taken[len(taken) * 99 // 100] / 1000
    print(f"{name:<28}{p50:>10.1f}{p99:>10.1f}{len(taken):>8}")


def main() -> None:
    """Print the table: microseconds."""
    load = os.getloadavg()
    print(f"{'routing, us':<28}{'p50':>10}{'p99':>10}{'count':>8}   load {load[0]:.1f}")
    world = deep(World(listed(HOME), listed("BTCUSDT@beta")))
    inputs = world.decisions(world.start(400))[0].decision.inputs
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter_ns()
        decide(inputs)
        taken.append(time.perf_counter_ns() - begun)
    row("decide, 2 x 20 levels", taken)
    taken = []
    for number in range(ROUNDS // 10):
        world = deep(World())
        request = ParentRequest(symbol=HOME, side=Side.BUY, lots=400, algorithm="sweep", route=True)
        begun = time.perf_counter_ns()
        world.rig.kernel.start_parent(world.rig.now, request, parent_id=f"q-{number}", by="bench")
        taken.append(time.perf_counter_ns() - begun)
    row("journalled, with a dark venue", taken)


if __name__ == "__main__":
    main()
