# Two commands are all a newcomer needs: `make run` and `make test`.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
ARGS   ?=

# Set where bytecode is not to be kept, as in many containers; without it each start compiles all
# that it imports: with torch, transformers and Ray ten seconds instead of five.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test lint soak long-session malformed fuzz lock system clean

run: $(VENV)/.installed  ## start the gateway with the embedded model
	@$(BIN)/scribewire serve $(ARGS)

test: $(VENV)/.installed-dev lint  ## everything: lint, types, contracts, unit and end-to-end tests
	$(BIN)/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports --no-cache

soak: $(VENV)/.installed-dev  ## half an hour of sessions over a bad network, with a model that is killed
	$(BIN)/python -m tests.soak $(ARGS)

malformed: $(VENV)/.installed-dev  ## 100,000 messages that no client should send
	$(BIN)/python -m tests.malformed $(ARGS)

fuzz: $(VENV)/.installed-dev  ## five minutes of bytes to every decoder, led by their branches
	$(BIN)/python -m tests.fuzz $(ARGS)

long-session: $(VENV)/.installed-dev  ## two hours of speech through one session with the real model
	$(BIN)/python -m tests.memory_of_a_long_session $(ARGS)

lock: $(VENV)/.installed-dev  ## the versions that images are built with: those installed here
	$(BIN)/python deploy/lock.py > deploy/constraints.txt

system:  ## Debian packages that a bare machine lacks (run as root)
	apt-get update -q
	apt-get install -y -q python3 python3-venv make libportaudio2 chromium espeak-ng openssl curl
	@# Node.js from elsewhere brings an npm, and refuses Debian's.
	command -v npm >/dev/null || apt-get install -y -q npm
	@# For the tests of deploy/, which start their own: `systemctl disable --now nginx prometheus` if yours listen on 80 and 9090.
	apt-get install -y -q --no-install-recommends nginx prometheus

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamps make the second run immediate: pip is asked only when the dependencies changed.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".[dev]"
	@touch $@ $(VENV)/.installed
