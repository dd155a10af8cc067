"""The shapes of the items of the packages table, by schema. What each item is for: ``table.py``."""

from weir.packages.table import SCHEMA
from weir.runtime.migrations import Shapes

SHAPES = Shapes(
    table="packages",
    schema=SCHEMA,
    kinds={
        "package": ("PKG#", "PKG"),
        "version": ("PKG#", "V#"),
        "manifest": ("PKG#", "M#"),
        "file": ("PKG#", "F#"),
        "blob": ("PKG#", "B#"),
        "gone": ("PKG#", "G#"),
        "scan": ("PKG#", "S#"),
        "waiting": ("PKG#", "W#"),
        "alias": ("PKG#", "A#"),
        "deletion": ("PKG#", "D#"),
        "signature": ("PKG#", "SIG#"),
        "look-alike": ("LOOKS#", "LOOKS"),
        "upload": ("UPLOAD#", "UPLOAD"),
        "word": ("WORD#", ""),
        "tag": ("TAG#", ""),
        "public-key": ("SIGNER#", "SIGNER"),
        "import": ("IMPORT#", "IMPORT"),
        "imported-file": ("IMPORT#", "FILE#"),
        "found": ("FOUND#", ""),
        "audit": ("AUDIT#", ""),
    },
)
