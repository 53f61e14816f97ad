# `make run` and `make test` need git, make and Python >= 3.11 only; `make install` does the rest, once.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
# Baal, to measure against, in an environment of its own: see benchmarks/peer/requirements.txt.
PEER   := benchmarks/peer/.venv
# The uv on PATH when it works (a pyenv shim may not), else the one that the rule of $(PY) puts into the venv.
UV     ?= $(shell uv --version >/dev/null 2>&1 && command -v uv || echo $(VENV)/bin/uv)
# Where `make bench` finds MNIST/raw, or puts it.
DATA   ?= data
# What `make leaderboard` takes in place of downloads: CIFAR-10 as class folders of images, and the weights of
# EfficientNet-Lite0 in safetensors.
IMAGES ?=
WEIGHTS ?=
# What `make run` runs, e.g. make run RUN="study=demo dataset=mnist seed=0,1,2 strategy=random,entropy".
RUN    ?= experiment=quick study=demo seed=0,1,2 strategy=random,margin

# Two runs at a time, each with half of the cores.
SIDE_BY_SIDE := hydra/launcher=joblib hydra.launcher.n_jobs=2

.DEFAULT_GOAL := help
.PHONY: help run paper paper-small test lint types bench bench-gpu leaderboard pages faults clean install lock wheel
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(STAMP) ## the main job on the embedded images: margin against random, and the report on it
	$(PY) -m al_lightning --multirun $(RUN)
	$(PY) -m al_lightning.report multirun_outputs/demo

paper: $(STAMP) ## the paper's study, its one-shot baseline and the report: 60 runs of 150 fits, for a GPU
	$(PY) -m al_lightning experiment=paper_study
	$(PY) -m al_lightning --multirun experiment=paper_baseline dataset=mnist,cifar10 seed=0,1,2,3,4
	$(PY) -m al_lightning.report multirun_outputs/paper

paper-small: $(STAMP) ## the same for two CPU cores, on MNIST with the small network: about 25 minutes
	$(PY) -m al_lightning experiment=paper_small $(SIDE_BY_SIDE)
	$(PY) -m al_lightning experiment=paper_small strategy=random al.initial_size=1500 al.rounds=0 $(SIDE_BY_SIDE)
	$(PY) -m al_lightning.report multirun_outputs/paper_small

test: $(STAMP) ## run the tests, on all cores but at most 4
	OMP_NUM_THREADS=1 $(PY) -m pytest -n logical --maxprocesses 4 --dist worksteal

lint: $(STAMP) ## check style and format with ruff
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(STAMP) ## check types with pyright
	$(PY) -m pyright

bench: $(STAMP) $(PEER)/.installed ## measure speed and memory, also against Baal, rewrite benchmarks/RESULTS.md: about 90 minutes
	$(PY) benchmarks/report_speed.py
	$(PY) benchmarks/training.py
	$(PY) benchmarks/scoring.py
	$(PY) benchmarks/clustering.py --data $(DATA)
	$(PY) benchmarks/feeding.py --data $(DATA)
	$(PY) benchmarks/startup.py --data $(DATA)
	$(PY) benchmarks/overhead.py --data $(DATA)
	$(PY) benchmarks/against_baal.py --data $(DATA)
	$(PY) benchmarks/growth.py --data $(DATA)
	$(PY) benchmarks/sweeps.py --data $(DATA)
	$(PY) benchmarks/study.py

bench-gpu: $(STAMP) ## measure steps, rounds and sweeps on a GPU, rewrite benchmarks/RESULTS-GPU.md
	$(PY) benchmarks/gpu.py --data $(DATA)

leaderboard: $(STAMP) ## run every strategy on five data sets, what is there already not again, rewrite docs/leaderboard.md: hours
	$(PY) benchmarks/leaderboard.py --data $(DATA) $(if $(IMAGES),--images $(IMAGES)) $(if $(WEIGHTS),--weights $(WEIGHTS))
	$(PY) benchmarks/leaderboard_page.py
	$(PY) benchmarks/strategy_pages.py

pages: $(STAMP) ## rewrite docs/strategies, a page a strategy, from their docstrings and the leaderboard
	$(PY) benchmarks/strategy_pages.py

faults: $(STAMP) ## kill runs, feed odd images and drawn configurations, run long: the tables of docs/reliability.md
	OMP_NUM_THREADS=1 $(PY) benchmarks/reliability.py

clean: ## remove caches, build and dist; keep .venv and multirun_outputs
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . \( -path ./.git -o -name $(VENV) -o -path ./data -o -path ./multirun_outputs \) -prune \
		-o -type d -name __pycache__ -exec rm -rf {} +

install: $(STAMP) ## make .venv from requirements.lock (the other targets do it when needed)

lock: $(PY) ## rewrite requirements.lock from pyproject.toml
	$(UV) pip compile --quiet --universal --generate-hashes --extra dev --python-version 3.11 \
		pyproject.toml -o requirements.lock --no-annotate

wheel: $(STAMP) ## build the wheel into dist/
	$(PY) -m build --wheel --no-isolation --outdir dist

$(PY):
	@command -v $(PYTHON) >/dev/null || \
		{ echo "error: $(PYTHON) not found; name a Python >= 3.11: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python >= 3.11 needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	rm -rf $(VENV)
# With a uv on PATH the venv needs no pip of its own, and so no ensurepip, which Debian packages apart.
	@if [ "$(UV)" != "$(VENV)/bin/uv" ]; then \
		set -x; $(PYTHON) -m venv --without-pip $(VENV); \
	elif $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		set -x; $(PYTHON) -m venv $(VENV) && $(PY) -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1" \
			|| { rm -rf $(VENV); exit 1; }; \
	else \
		echo "error: $(PYTHON) lacks ensurepip; install it (Debian, Ubuntu: apt install python3-venv) or uv" >&2; exit 1; \
	fi

# The build constraints hold the build of sdists (antlr4-python3-runtime) to the locked, hashed setuptools.
$(STAMP): requirements.lock pyproject.toml $(PY)
	$(UV) pip sync --python $(PY) --require-hashes --compile-bytecode --build-constraints requirements.lock requirements.lock
	$(UV) pip install --python $(PY) --offline --no-deps --no-build-isolation --editable .
	@touch $@

# Made by the python of $(VENV), so that both sides are measured under the same one.
$(PEER)/.installed: benchmarks/peer/requirements.txt $(PY)
	$(UV) venv --quiet --clear --python $(PY) $(PEER)
	$(UV) pip sync --python $(PEER)/bin/python --compile-bytecode $<
	@touch $@
