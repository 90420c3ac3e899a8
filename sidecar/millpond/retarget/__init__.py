"""Rewriting the locations in table metadata: from ``cache://`` to the stores' own, and back."""
