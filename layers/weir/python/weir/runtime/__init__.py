"""Floor 0: what every context stands on. Imports nothing of Weir above itself."""
