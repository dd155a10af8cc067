"""Many callers on one cap, some of whom die or are cut off, for the tests in memory and on the local AWS."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.unit.usage.metered import World
from weir.llm.models import Tokens
from weir.usage.caps import CapExceeded
from weir.usage.metering import Admission, Outcome

CALLERS, REQUESTS, LIMIT = 64, 1_000, 300
CUT, DIES, DIES_LATE = 0.10, 0.05, 0.02


@dataclass
class Came:
    """What came of a crowd: how many were refused, settled, cut and dead."""

    refused: list[str] = field(default_factory=list)
    settled: list[Admission] = field(default_factory=list)
    dead: list[Admission] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


def crowd(
    world: World, callers: int = CALLERS, requests: int = REQUESTS, pause: Callable[[float], None] = time.sleep
) -> Came:
    """So many requests in all, by so many callers at once; each calls a model for a random time."""
    came = Came()

    def one(number: int) -> None:
        rng = random.Random(number)
        try:
            admission = world.admit(request_id=f"r-{number}")
        except CapExceeded:
            came.refused.append(f"r-{number}")
            return
        pause(rng.uniform(0, 0.004))  # the upstream takes its time
        fate = rng.random()
        if fate < DIES:
            came.dead.append(admission)
            return
        tokens, cut = Tokens(rng.randint(1, 100), rng.randint(0, 50)), fate < DIES + CUT
        came.cut += [f"r-{number}"] * cut
        outcome = Outcome(499 if cut else 200, tokens, cut=cut)
        if fate > 1 - DIES_LATE:
            world.recorder.write(world.meter._record(admission, outcome))  # and dies before the counters
            came.dead.append(admission)
            return
        world.meter.settle(admission, outcome)
        if rng.random() < 0.1:
            world.meter.settle(admission, outcome)
        came.settled.append(admission)

    with ThreadPoolExecutor(callers) as pool:
        for done in [pool.submit(one, number) for number in range(requests)]:
            done.result()
    return came
