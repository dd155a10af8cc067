"""Kinesis data streams: create, describe, write, read, measure, delete. Floor 1, on ``weir.runtime`` alone."""
