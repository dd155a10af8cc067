"""One address for all models, in three dialects: admits a call, forwards it, and settles what it used."""
