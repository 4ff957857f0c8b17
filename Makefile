# One word for each job; `make` alone lists them.
#
# Whatever needs the environment builds it: .venv, with the versions of constraints.txt. It is built
# again only when pyproject.toml or constraints.txt changed, or the checkout has moved, so that a
# second `make` of anything needs no network. Paths are relative: the checkout may lie below a
# folder with a space in its name.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test nightly check lint types docs plots bench bench-full bench-report \
	bench-compare soak build clean

# A name on PATH can be a shim that does not start, or a Python without venv: take the first that
# works. Evaluated only when .venv is made.
USABLE = import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c '$(USABLE)' 2>/dev/null && echo $$p && break; done)

# -P keeps the checkout itself off sys.path: there, `import components` would load a second copy.
PY = .venv/bin/python -P
PIP = $(PY) -m pip --disable-pip-version-check --quiet --quiet

# An editable install remembers where the checkout lies; so does the name of its stamp.
PLACE := $(shell pwd -P | cksum | cut -d ' ' -f 1)
STAMP := .venv/installed-$(PLACE)
PEERS := .venv/peers-$(PLACE)

FLECS_SDIST = 0.0.2
FLECS = build/flecs/flecs-$(FLECS_SDIST)/deps/flecs-4.1.0/distr

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## make .venv and install populace into it, editable

.venv/bin/python:
	@test -n '$(PYTHON)' || { echo 'populace needs Python 3.11, 3.12 or 3.13 with its venv module' \
		'(Debian: apt install python3-venv); name one with: make PYTHON=/path/to/python' >&2; exit 1; }
	'$(PYTHON)' -m venv .venv

$(STAMP): pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install -c constraints.txt setuptools
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	@rm -f .venv/installed-*; touch $@

# What only the benchmarks need, other libraries to measure beside, stays out of `make setup`.
$(PEERS): $(STAMP)
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[bench]'
	@rm -f .venv/peers-*; touch $@

# The C source of flecs lies in the sdist of its Python binding. Without it that peer is "not installed".
$(FLECS)/flecs.h: | $(STAMP)
	-mkdir -p build/flecs && $(PIP) download --no-deps --no-binary :all: \
		-d build/flecs flecs==$(FLECS_SDIST) && tar -xzmf build/flecs/flecs-$(FLECS_SDIST).tar.gz \
		-C build/flecs flecs-$(FLECS_SDIST)/deps/flecs-4.1.0

run: $(STAMP) ## run the default scenario; ARGS='--agents 1000' is handed on
	.venv/bin/populace run $(ARGS)

test: $(STAMP) ## run the tests; ARGS='-k world' is handed on
	$(PY) -m pytest -m 'not nightly' $(ARGS)

nightly: $(STAMP) ## run every test, the stateful ones with ten times the examples
	POPULACE_EXAMPLES=2000 $(PY) -m pytest $(ARGS)

check: lint types docs test ## all that must hold before a change goes in

lint: $(STAMP) ## ruff: rules and format
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: $(STAMP) ## mypy --strict, on a tree of symlinks
	$(PY) tools/types_tree.py build/types
	$(PY) -m mypy

docs: $(STAMP) ## run the examples and draw the plots of README, docs and docstrings
	$(PY) -m pytest tests/test_docs.py tests/test_examples.py tests/test_notebook.py tests/test_plots.py $(ARGS)

plots: $(STAMP) ## draw the plots of docs/laws.md anew
	$(PY) tools/draw_plots.py $(ARGS)

# Without -P: `bench` lies in the checkout and is not installed.
BENCH = FLECS_INCLUDE="$${FLECS_INCLUDE:-$(FLECS)}" .venv/bin/python -m bench

bench: $(PEERS) $(FLECS)/flecs.h ## time everything up to 100,000 rows, beside bounds and peers, in minutes; figures to build/bench
	$(BENCH) --up-to 100k --seconds 0.3 --patience 5 --json build/bench/bench.json $(ARGS)

bench-full: $(PEERS) $(FLECS)/flecs.h ## all sizes, ten times as many rounds, no peer left out; hours
	$(BENCH) --full --seconds 3 --json build/bench/bench.json $(ARGS)

bench-report: $(PEERS) ## docs/benchmarks.md and its plots from these figures; ARGS names other files
	$(BENCH) --report $(ARGS)

bench-compare: $(PEERS) $(FLECS)/flecs.h ## fail where a ratio is worse than in bench/baselines, by more than noise
	$(BENCH) --compare --seconds 0.3 $(ARGS)

soak: $(STAMP) ## let 10,000 people live for a year, and judge memory and pace by month; 15 minutes
	$(PY) tools/soak.py $(ARGS)

build: $(STAMP) ## sdist and wheel into dist/
	rm -rf dist
	$(PY) -m build --no-isolation

clean: ## remove what the targets above made, except .venv
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name .venv -prune -o -name __pycache__ -prune -exec rm -rf {} +
