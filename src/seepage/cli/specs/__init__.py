"""Configurations: YAML or flags, one to one with the values in Python.

Fields, bounds and defaults are those of the values that they fill, see `fields.py`. An unknown key is an error that
names the closest one, and the resolved configuration is saved in the result.
"""
