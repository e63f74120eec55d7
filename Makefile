# `make demo` shows what this is, `make test` proves it. Both make their own .venv and need Python 3.11, git and make.
BIN := .venv/bin
PREFIX ?= /opt/stream-supervisor
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# What ruff's ASYNC rules lack: cancel scopes and generators, cleanup that waits, nurseries, exception groups.
ASYNC := ASYNC101,ASYNC102,ASYNC111,ASYNC113,ASYNC119,ASYNC121,ASYNC123,ASYNC900

# Many tests wait for a process or a socket: two more than there are processors keep these busy.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 2)
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal
# Everything is decided in here, so every branch of it must be tested by its own tests; tracing the rest would only cost.
CORE := tests/core supervisor/core tests/test_explain.py

.PHONY: demo test check format bench emulate system install uninstall
.NOTPARALLEL:

demo: .venv/demo
	@$(BIN)/stream-supervisor demo $(ARGS)

test: .venv/dev
	@$(PYTEST) --cov --quiet $(CORE)
	@$(PYTEST) $(addprefix --ignore ,$(CORE) tests/real) $(ARGS)

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	@echo "$(BIN)/flake8-async supervisor"
	@find supervisor -name '*.py' -exec $(BIN)/flake8-async --enable $(ASYNC) {} +

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev
	@$(BIN)/python -m tests.bench $(ARGS)

emulate: .venv/demo
	@$(BIN)/stream-supervisor emulate $(ARGS)

# As root: a service on this machine. PREFIX is its virtual environment.
install:
	@PREFIX="$(PREFIX)" deploy/install.sh

uninstall:
	@PREFIX="$(PREFIX)" deploy/uninstall.sh

# The unit under a real systemd, the image in a real container: as root, with what Debian has for it; skips what is missing.
system: .venv/dev
	@$(BIN)/pytest -p no:xdist -rs --durations=0 tests/real $(ARGS)

# Without --no-compile the environment would be a third larger, for modules that are never imported.
.venv/demo: pyproject.toml | $(BIN)/pip
	@echo "Installing the demo into .venv: about 60 MB to download, 140 MB on disk" >&2
	@$(PIP) install --no-compile --only-binary pocketsphinx --editable '.[demo]' \
	    || $(PIP) install --no-compile --editable . rich
	@touch $@

.venv/dev: .venv/demo
	@echo "Installing the tools of the tests into .venv" >&2
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' > $@.txt
	@$(PIP) install --requirement $@.txt
	@touch $@

# pip 25.1 could read the group itself, but Python 3.11 brings an older one.
$(BIN)/pip:
	@python=$$(.ci/needs) && $$python -m venv .venv
