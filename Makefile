# Everything a reader or a developer does. 'make book' and 'make test' set up what they need; 'make help' lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PROFILE ?= quick
WORKERS ?= 2
PORT ?= 8000
ASSIGNMENT ?= a1
LIMIT_SECONDS ?= 180
LIMIT_CELL_SECONDS ?= 30
LIMIT_MIB ?= 2048
UV_VERSION := 0.13.9
BIN := .venv/bin
STAMP := .venv/.installed
BUILD := $(BIN)/python book/tools/build.py
CLASSROOM := $(BIN)/python -m drs.classroom
ASSIGNMENTS := _build/assignments/.built
DRIFT ?= anatomy theory constant
# Paths in recipes are relative: the checkout may lie under "My Drive". Where one must be absolute, it is exported.
REPRODUCED := _build/reproduced
RECOMPUTED := _build/drift
LOWEST := _build/lowest
FAST := tests/test_losses.py tests/test_losses_errors.py tests/test_spread.py tests/statistics tests/detection \
  tests/evaluation tests/pages tests/training/test_models.py tests/attacks/test_sign.py tests/study/test_records.py
# Hundreds of processes import torch, matplotlib and pandas: compiled once, that takes a third of the time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install lock book notebooks check-notebooks smoke pdf links test lowest site-report bench lint format serve reproduce \
  drift assignments grade class student slides clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s%s\n", $$1, $$2}' Makefile

install: $(STAMP) ## Set up .venv with every package that requirements.lock pins, and this one

$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "expected Python 3.11 or later, got $$("$(PYTHON)" -V 2>&1); name another one: make install PYTHON=python3.12" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' || { \
	  echo "expected Python's venv module, found none (on Debian: apt-get install python3-venv)" >&2; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -c 'import uv' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --editable .
	@touch $@

lock: ## Resolve requirements.lock anew from pyproject.toml (one lock for every platform and Python >= 3.11)
	@test -x $(BIN)/uv || { "$(PYTHON)" -m venv .venv && $(BIN)/python -m pip install --quiet 'uv==$(UV_VERSION)'; }
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --extra book --extra classroom --extra cluster --extra dev pyproject.toml --output-file requirements.lock

book: install ## Execute every notebook from the committed records and build the site
	@$(BUILD) book

notebooks: install ## Refresh the committed notebooks, README's table and the front page from the records
	@$(BUILD) notebooks
	@$(BIN)/python -m drs readme

check-notebooks: install ## Execute the notebooks and compare with what is committed
	@$(BUILD) check

smoke: install ## Execute every notebook from scratch under the smoke profile, without any record
	@$(BUILD) smoke

pdf: book ## Set the whole book as one PDF, _build/drs.pdf (needs LaTeX; says which packages)
	@$(BIN)/python book/tools/pdf.py

links: book ## Ask for every external link of the book (needs the network)
	@$(BIN)/python book/tools/sphinx_book.py _build/site linkcheck $(WORKERS)

test: install ## Run the whole test suite, the site in a browser included
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lowest: install ## Run the fast tests with the lowest versions that pyproject.toml allows (several GB to download)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	@$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable '.[dev,book]'
	@OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -p no:cacheprovider $(FAST)

site-report: book ## Weight, requests, speed, accessibility and links of every page; fails where something must not be
	@$(BIN)/python book/tools/report.py

bench: install ## Measure our attacks against other libraries, as ratios (installs those without their dependencies)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps torchattacks==3.5.1 adv-lib==0.2.8
	@$(BIN)/python -m drs bench

lint: install ## ruff and mypy --strict
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: install ## Lay the code out and fix what ruff can fix
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

serve: book ## Show the site on http://localhost:$(PORT)
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

reproduce: export DRS_RESULTS ?= $(CURDIR)/$(REPRODUCED)/results
reproduce: export DRS_CHECKPOINTS ?= $(CURDIR)/$(REPRODUCED)/checkpoints
reproduce: install ## Compute every record of PROFILE from nothing, then the notebooks and the book from them
	@$(BIN)/python -m drs run all --profile $(PROFILE) --workers $(WORKERS)
	@$(BUILD) notebooks
	@$(BIN)/python -m drs readme
	@$(BUILD) book
	@echo "records: $$DRS_RESULTS (the committed ones are untouched)"
	@echo "'git diff --stat' shows which figures and tables came out differently, 'git restore README.md notebooks book/_generated' takes them back"

drift: export DRS_CHECKPOINTS := $(CURDIR)/$(RECOMPUTED)/checkpoints
drift: install ## Compute the experiments DRIFT of PROFILE again from nothing, and compare with the committed records
	@rm -rf "$(RECOMPUTED)"
	@for name in $(DRIFT); do \
	  $(BIN)/python -m drs run $$name --profile $(PROFILE) --workers $(WORKERS) --results $(RECOMPUTED)/results; done
	@$(BIN)/python -m drs compare $(RECOMPUTED)/results --profile $(PROFILE)

assignments: install ## Make the student and the instructor version of every assignment; the solutions must pass
	@$(CLASSROOM) build --jobs $(WORKERS)
	@touch $(ASSIGNMENTS)

$(ASSIGNMENTS): $(wildcard notebooks/assignments/*.ipynb) $(wildcard drs/classroom/*.py) | install
	@$(CLASSROOM) build --jobs $(WORKERS)
	@touch $@

grade: install $(ASSIGNMENTS) ## Grade the notebooks in SUBMISSIONS, for the class list ROSTER if given: tables and feedback in OUT or _build/grades
	@test -n "$(SUBMISSIONS)" || { echo "expected a folder: make grade SUBMISSIONS=folder" >&2; exit 2; }
	@$(CLASSROOM) grade "$(SUBMISSIONS)" --jobs $(WORKERS) --seconds $(LIMIT_SECONDS) \
	  --cell-seconds $(LIMIT_CELL_SECONDS) --memory $(LIMIT_MIB) $(if $(OUT),--out "$(OUT)") $(if $(ROSTER),--roster "$(ROSTER)")

student: install ## Open ASSIGNMENT (a1 to a4) in JupyterLab, in a copy of your own under notebooks/assignments/mine
	@notebook=$$($(CLASSROOM) student $(ASSIGNMENT)); echo "your copy: $$notebook"; \
	  exec $(BIN)/jupyter lab "$$notebook" --ServerApp.root_dir="$(CURDIR)" $$(test "$$(id -u)" != 0 || echo --allow-root) $(LAB_OPTIONS)

class: install $(ASSIGNMENTS) ## Grade a class of thirty through the whole course, made of known submissions, and time it
	@$(BIN)/python -m tests.classroom.class_of_thirty

slides: install ## Make the slides of each week, _build/slides/week1.html to week4.html, from the committed notebooks
	@$(BIN)/python book/tools/slides.py

clean: ## Remove everything that was built; keep .venv, data and records
	@rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
