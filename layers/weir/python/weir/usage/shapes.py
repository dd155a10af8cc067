"""The shapes of the items of the usage table, by schema. What each item is for: ``table.py``."""

from weir.runtime.audit import KIND
from weir.runtime.migrations import Shapes
from weir.usage.table import SCHEMA

SHAPES = Shapes(
    table="usage",
    schema=SCHEMA,
    kinds={
        "counter": ("COUNT#", "COUNT"),
        "cap": ("CAPS#", ""),
        "record": ("REC#", ""),
        "active": ("ACTIVE#", ""),
        "late": ("LATE", ""),
        "period": ("SUM#", ""),
        "row": ("ROWS#", ""),
        "rolled": ("ROLLED", "ROLLED"),
        "alarm": ("ALARM#", ""),
        "refusal": ("REFUSED#", ""),
        "audit": KIND,
        "price": ("PRICE#", "PRICE"),
        "price-import": ("PRICEIMPORT#", "PRICEIMPORT"),
        "price-lock": ("PRICELOCK", "PRICELOCK"),
    },
)
