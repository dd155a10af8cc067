"""Weir: prove streams, analyze them, keep models, front models. The shared layer of every function."""
