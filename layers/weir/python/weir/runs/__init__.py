"""Floor 3: the run, the heart of Weir: create, insert, verify, analyze, delete, and a verdict that can be trusted."""
