"""Analyses of streams: what is asked for, collected, found, told, kept, exported, and compared with the last."""
