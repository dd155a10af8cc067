"""The shapes of the items of the analyses table, by schema. What each is for: ``table.py``, ``telling/prompts.py``."""

from weir.runtime.migrations import Shapes

SCHEMA = 1

SHAPES = Shapes(
    table="analyses",
    schema=SCHEMA,
    kinds={
        "analysis": ("ANALYSIS#", "ANALYSIS"),
        "last": ("SCHEDULE#", "LAST"),
        "prompt": ("PROMPT#", "PROMPT"),
        "prompt-version": ("PROMPT#", "V#"),
    },
)
