"""Signals: what models answer, collected unit by unit, and the scalars that attacks read from it."""
