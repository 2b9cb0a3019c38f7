"""Attacks that train models of their own on the population: students, regressors, surrogates."""
