"""The parts of `same_numbers.py`: the runs, the files that they read, and the comparison of what they save."""
