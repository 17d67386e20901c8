# Everything here sets itself up: Python 3.11 or newer, git and make are enough.
# PYTHON=python3.12 make ...  chooses the interpreter (of an environment not yet made).

.PHONY: help demo test check fix chaos model mutants fuzz clean setup

help:  ## show this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1	/p' Makefile

demo: setup  ## run a worker, its queue and an encoding job, here and now
	@.venv/bin/sisyphus demo

test: setup  ## run all checks and all tests
	@scripts/test

check: setup  ## format, lint, types, layers: only look
	@scripts/check

fix: setup  ## format and mend what can be mended by itself
	@scripts/fix

chaos: setup  ## break everything for a while, and look: SECONDS=60 SEED=1
	@.venv/bin/python -m chaos --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

model: setup  ## walk the queue's scripts at random beside a model; EXAMPLES=1000
	@MODEL_EXAMPLES=$(or $(EXAMPLES),1000) scripts/test -s tests/store/test_model.py

mutants: setup  ## put defects into the queue's scripts, and see them caught
	@.venv/bin/python -m mutants

fuzz: setup  ## feed the parsers with garbage; FUZZ_EXAMPLES=20000 for longer
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-2500} scripts/test tests/fuzz --timeout 3600

clean:  ## remove everything that the other commands made
	rm -rf .boot .venv .cache .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache build demo dist
	find src tests -name __pycache__ -prune -exec rm -rf {} +

setup:
	@scripts/setup
