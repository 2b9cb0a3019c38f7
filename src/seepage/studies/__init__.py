"""Studies: each answers one question from a set-up to a result (check, units, measure, conclude)."""
