"""Attacks that learn from pairs of a record and a reference to tell members from others by what models answer."""
