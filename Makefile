# Every target that needs the environment creates it first; if it is ready, that takes no time.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long gpu lint pages docs requirements clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## create .venv with everything that the targets below need; MMCV_OPS=1 compiles mmcv's operators
	@bash tools/setup.sh

# One thread, because the runs are small: two threads take the same time and twice the CPU.
demo: setup  ## pretrain, fine-tune and compare on a small scale, in work_dirs/demo
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} .venv/bin/python tools/study.py run configs/demo/study.py --work-dir work_dirs/demo

# Two test processes with one thread each; with more threads, they slow each other down on two cores.
PYTEST = OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2

test: lint  ## lint, then run the quick tests
	$(PYTEST) --dist loadfile -m "not long"

test-long: setup  ## run the tests that train
	$(PYTEST) --dist load --maxschedchunk 1 -m long

# Works without .venv too, with the packages on PYTHONPATH.
gpu:  ## on a machine with a GPU: run the tests that need one and the benchmarks; results in results/gpu
	@PYTHONPATH="$${PYTHONPATH:+$$PYTHONPATH:}$(CURDIR)" \
		$(or $(wildcard .venv/bin/python),python3) tools/gpu_check.py

lint: setup  ## run ruff and mypy
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy smix_mm tools

pages: setup  ## write the generated documents: the tutorial's notebook, the model zoo and mim's metafiles
	.venv/bin/jupytext --quiet --to ipynb --update --set-kernel python3 docs/tutorial.md
	PYTHONPATH=$(CURDIR) .venv/bin/python docs/model_zoo.py

docs: setup  ## build the documentation into build/docs/index.html
	.venv/bin/sphinx-build -W --keep-going -q -b html docs build/docs

requirements:  ## update requirements.txt from pyproject.toml; pins that still fit are unchanged
	@[ -x .venv/bin/uv ] || bash tools/setup.sh
	.venv/bin/uv pip compile pyproject.toml --all-extras --group test --group docs --no-header --no-annotate --universal -q \
		-o requirements.txt

clean:  ## remove .venv and caches, not data and work_dirs
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find smix_mm configs tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
