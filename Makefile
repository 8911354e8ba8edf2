# make forwards and prints help; what the commands do stands in .ci/, noxfile.py and pyproject.toml.

# The first Python of 3.11 or later that *this user* may run: a pyenv below /root is root's alone.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; \
	echo python3)
# Inside the checkout, so that two users' checkouts have two environments.
VENV ?= .venv
# For make hub: a Python that every user may run, and an environment of its own for it.
HUB_PYTHON ?= /usr/bin/python3
HUB_VENV ?= .venv-hub
# One requirement that pins the kernel's generation: make test IPYKERNEL='ipykernel>=6.29,<7'
IPYKERNEL ?=
# Anything but nothing installs the extra of libraries too: make test LIBRARIES=1
LIBRARIES ?=
# More arguments for pytest: make test PYTEST='-x tests/unit'
PYTEST ?=
# More arguments for the fuzzer: make fuzz FUZZ='--seed 7 --programs 10000'
FUZZ ?=
# More arguments for the mutations: make mutate MUTATE='--only seccomp'
MUTATE ?=
# More arguments for the soak: make soak SOAK='--seed 7 --cells 200 cells ends'
SOAK ?=

BIN := $(VENV)/bin
comma := ,
PY := $(BIN)/python
CHECKED := kavach_ipy tests notebooks benchmarks docs jupyter-config noxfile.py

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit docs browser hub bench bench-broker bench-checkpoints bench-confinement bench-output bench-showing bench-values soak fuzz fuzz-guided libraries mutate build clean venv-browser venv-demo venv-hub venv-test

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv-demo ## run notebooks/01_first_cell.ipynb for real and print every cell with what came out
	@$(PY) notebooks/run.py notebooks/01_first_cell.ipynb

test: lint ## ruff, mypy --strict, import layers, then every test
	$(PY) -m pytest $(PYTEST)

lint: venv-test ## ruff, mypy --strict and the import layers
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: venv-test ## the tests that need nothing of the kernel, in seconds
	$(PY) -m pytest tests/unit tests/repo $(PYTEST)

browser: venv-browser ## the tests in a real JupyterLab and Notebook 7, in Debian's Chromium; minutes
	@.ci/chromium
	$(PY) -m pytest tests/browser $(PYTEST)

hub: venv-hub ## a real JupyterHub with two users, set up as the guide says and attacked; root, two minutes
	@.ci/hub-proxy '$(HUB_VENV)'
	$(HUB_VENV)/bin/python -m pytest tests/hub $(PYTEST)

docs: venv-test ## write the generated pages of docs/reference again
	$(PY) docs/reference/generate.py

bench: venv-test ## ratios against a bare fork and peers, and values against stock pickle
	@$(PY) benchmarks/run.py; kept=$$?; $(PY) benchmarks/values.py && exit $$kept

bench-confinement: venv-test ## work inside against the same work outside, and what the verification adds
	$(PY) benchmarks/confinement.py

bench-output: venv-test ## what a sandboxed cell prints and displays against a plain cell
	$(PY) benchmarks/output.py

bench-values: venv-test ## values on their way back, against stock pickle and the one copy that must be
	$(PY) benchmarks/values.py

bench-broker: venv-test ## a kernel that sandboxes every cell against the stock one: cells, start, output, memory
	$(PY) benchmarks/broker.py

bench-checkpoints: venv-test ## a cell of a session with a checkpoint before it, and without one
	$(PY) benchmarks/checkpoints.py

bench-showing: venv-test ## what the gate takes for HTML, Markdown and text
	$(PY) benchmarks/showing.py

fuzz: venv-test ## a million changed pickles for the reader, under an address-space limit; ten minutes
	$(PY) -m tests.fuzz $(FUZZ)

fuzz-guided: venv-test ## programs that coverage leads, by atheris; fifteen minutes: make fuzz-guided FUZZ='--seed 7'
	$(PY) -m pip install --quiet 'atheris>=3.0,<4'
	$(PY) -m tests.fuzz.guided --corpus $(VENV)/fuzz-corpus $(FUZZ)

soak: venv-test ## 2,000 cells in one kernel, 200 killed at random, random policies, forged frames; half an hour
	$(PY) -m tests.soak $(SOAK)

libraries: venv-test ## measure libraries with threads in a notebook and its cells, and write the page of them
	$(PY) -m tests.libraries

mutate: venv-test ## switch off one guard of the sandbox at a time; the tests must notice
	$(PY) -m tests.mutation $(MUTATE)

build: venv-test ## the wheel, and a check that it installs into a clean environment
	@.ci/build $(PY)

clean: ## remove what the commands above made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
	find . -name __pycache__ -prune -exec rm -rf {} +

libraries: LIBRARIES = 1

hub: PYTHON := $(HUB_PYTHON)
hub: VENV := $(HUB_VENV)

venv-browser venv-demo venv-hub venv-test:
	@.ci/bootstrap '$(PYTHON)'
	@.ci/venv '$(PYTHON)' '$(VENV)' $(@:venv-%=%)$(if $(LIBRARIES),$(comma)libraries) $(if $(IPYKERNEL),'$(IPYKERNEL)')
