"""What is to be said of one stream, from what is known of it: pure functions from facts to findings, by name."""
