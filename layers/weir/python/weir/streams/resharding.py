"""Which shard counts UpdateShardCount allows on the way to a target.

One call may at most double the count and at least halve it (rounded up), and a stream takes ten calls in 24 hours.
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html
"""

CALLS_PER_DAY = 10
MAX_SHARDS = 10_000


def legal_steps(current: int, target: int) -> list[int]:
    """The fewest shard counts to ask for, one after another, from ``current`` to ``target``; [] when they are equal.

    Both are counts of open shards, at least 1; ValueError otherwise.
    """
    if current < 1 or target < 1:
        raise ValueError("a provisioned stream has at least one shard")
    steps: list[int] = []
    while current != target:
        current = min(target, current * 2) if target > current else max(target, (current + 1) // 2)
        steps.append(current)
    return steps
