# Every target that needs the environment makes it first; where it is ready, that takes no time.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long gpu lint docs requirements clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## make .venv with everything the targets below need; MMCV_OPS=1 compiles mmcv's operators
	@bash tools/setup.sh

# One thread, because the runs are too small for more: two take the same time and twice the CPU.
demo: setup  ## pretrain, fine-tune and compare on a small scale, into work_dirs/demo
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} .venv/bin/python tools/study.py run configs/demo/study.py --work-dir work_dirs/demo

# Two test processes of one thread each: two that share the threads of two cores are slower than one alone.
PYTEST = OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2

test: lint  ## check the code's form, then run the quick tests
	$(PYTEST) --dist loadfile -m "not long"

test-long: setup  ## run the tests that train
	$(PYTEST) --dist load --maxschedchunk 1 -m long

# Without a set-up too: from a checkout, with packages that PYTHONPATH leads to.
gpu:  ## on a machine with a GPU: the tests that need one, then the benchmarks, into results/gpu
	@PYTHONPATH="$${PYTHONPATH:+$$PYTHONPATH:}$(CURDIR)" \
		$(or $(wildcard .venv/bin/python),python3) tools/gpu_check.py

lint: setup  ## ruff and mypy
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy smix_mm tools

docs: setup  ## build the documentation into build/docs/index.html
	.venv/bin/sphinx-build -W --keep-going -q -b html docs build/docs

requirements:  ## write requirements.txt anew from pyproject.toml; pins that still fit stay
	@[ -x .venv/bin/uv ] || bash tools/setup.sh
	.venv/bin/uv pip compile pyproject.toml --all-extras --group test --group docs --no-header --no-annotate --universal -q \
		-o requirements.txt

clean:  ## remove .venv and caches; what is in data and work_dirs stays
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find smix_mm configs tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
