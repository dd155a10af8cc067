"""What a measured run or stream means: mergeable measurements, rules that turn them into findings, and cost.

Floor 2: it imports `weir.streams` and `weir.runtime` only, and makes no call to AWS; numbers come in as values.
"""
