"""Who is calling, and what they may do: users, log-in, tokens, API keys, OAuth, audit."""
