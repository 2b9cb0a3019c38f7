"""Attacks that see nothing but predicted labels, of copies of a record or of points that they choose."""
