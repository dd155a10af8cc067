"""Findings in words: by templates always, by a language model where there is one, and with no number of its own."""
