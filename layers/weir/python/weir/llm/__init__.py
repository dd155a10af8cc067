"""Language models: providers, the routes from a model's name to them, their dialects, and what a call used."""
