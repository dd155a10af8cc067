"""What language models cost: usage of each call, prices, and caps that are held before the call."""
