"""Garbage collection for functions that make millions of short-lived tuples and no cycles.

CPython looks at everything alive again and again while objects are made; for a writer that was up to 30 % of
its CPU. What the imports made is set aside for good (``gc.freeze``), and the young generation is looked at less often.
https://docs.python.org/3/library/gc.html#gc.freeze
"""

import gc


def rarely() -> None:
    """Set aside what is alive now, and collect a seventieth as often; call it once, after the imports.

    The up to 20,000 entries that a producer has under way, and the records of a page, die before they are looked at.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
