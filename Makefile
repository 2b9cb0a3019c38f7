demo:
	python3 run.py demo

test:
	python3 run.py test

.PHONY: demo test
