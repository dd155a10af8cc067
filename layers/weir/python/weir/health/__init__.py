"""Whether Weir is alive (asks nobody), and whether what it depends on is ready (asks each, at the same time)."""
