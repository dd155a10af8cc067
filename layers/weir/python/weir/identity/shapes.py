"""The shapes of the items of the identity table, by schema. What each item is for: ``table.py``."""

from weir.identity.table import SCHEMA
from weir.runtime.migrations import Shapes

SHAPES = Shapes(
    table="identity",
    schema=SCHEMA,
    kinds={
        "user": ("USER#", "USER"),
        "gone": ("USER#", "GONE"),
        "api-key": ("USER#", "KEY#"),
        "keys-made": ("USER#", "KEYS"),
        "session": ("USER#", "SESSION#"),
        "name": ("NAME#", "NAME"),
        "email": ("EMAIL#", "EMAIL"),
        "identity": ("PROVIDER#", "IDENTITY"),
        "revocation": ("REVOKED", ""),
        "uses": ("USES#", "USES"),
        "attempts": ("ATTEMPTS#", ""),
        "state": ("STATE#", "STATE"),
        "code": ("CODE#", "CODE"),
        "audit": ("AUDIT#", ""),
        "first-admin": ("ADMIN", "ADMIN"),
        "admins": ("ADMINS", "ADMINS"),
    },
)
