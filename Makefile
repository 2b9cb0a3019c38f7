demo:
	python3 run.py demo

test:
	python3 run.py test

# How large the package is, and how many files a newcomer touches; more in the file's first lines.
house:
	python3 benchmarks/house.py

.PHONY: demo test house
