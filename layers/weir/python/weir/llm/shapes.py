"""The shapes of the items of the table of providers and routes, by schema. What each item is for: ``table.py``."""

from weir.llm.table import SCHEMA
from weir.runtime.audit import KIND
from weir.runtime.migrations import Shapes

SHAPES = Shapes(
    table="llm",
    schema=SCHEMA,
    kinds={"provider": ("PROVIDERS", ""), "route": ("ROUTES", ""), "audit": KIND},
)
