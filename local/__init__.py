"""The local AWS: start it, deploy this repository's template on it, stop it. Nothing here is ever deployed."""
