"""Model packages: registered, uploaded, scanned, served, reconciled. Their bytes pass through no request."""
