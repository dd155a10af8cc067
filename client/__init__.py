"""The ``weir`` command line: a client of the HTTP API, and nothing more. It holds no rule and imports nothing of it."""
