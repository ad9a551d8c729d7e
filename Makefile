# Everything around the code; `make` alone lists the targets.
# Nothing is done twice: the stamps in $(VENV) say what stands already.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
BENCH   := build/bench
SOURCES := setup.py pyproject.toml $(wildcard _native/* _native/keeper/*)
TESTS   ?= tests
# Files of tests at a time; each file's tests follow one another.
JOBS    ?= 2
# Programs that tests trace beside those that every Debian has (tests/corpus).
CORPUS  := bash:bash busybox:busybox curl:curl ethtool:ethtool git:git ip:iproute2 lighttpd:lighttpd make:make \
	openssl:openssl perl:perl ping:iputils-ping rsync:rsync setfacl:acl sqlite3:sqlite3 ssh-keygen:openssh-client \
	wget:wget xz:xz-utils
# Programs that captures are made by and read with.
NETWORK := dumpcap:wireshark-common pasta:passt tshark:tshark
# Programs that are kept running, and what tells lowrun of them.
KEPT    := faketime:faketime nginx:nginx-light redis-server:redis-server systemd-notify:systemd
# What pages are looked at with.
PAGES   := chromium:chromium
# What benches compare lowrun with, beside what tests need.
RIVALS  := runsv:runit s6-supervise:s6 supervisord:supervisor
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types layers warnings bench asan wheel clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 16

demo: $(VENV)/.installed ## set up, then run a flaky command ten times and show why its failing runs failed
	@echo '$$ lowrun -c 10 -ct -lt --keep failed+1 python3 mock/flaky.py'
	@$(BIN)/lowrun -c 10 -ct -lt --keep failed+1 $(PYTHON) mock/flaky.py; code=$$?; echo; \
	echo "lowrun exited $$code, as the command did in most runs. What a failing run did is in the directory named above:"; \
	echo "run-000N/stdout.log and stderr.log are its output, run-000N/calls.strace its system calls; see it all by"; \
	echo "$(BIN)/lowrun show DIRECTORY"

test: $(VENV)/.tools ## set up, then run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS)

check: lint types layers warnings ## style, types, layers, C warnings

lint: $(VENV)/.tools ## ruff: style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# cli/ is installed as lowrun.cli: mypy sees the package as it is installed.
types: $(VENV)/.tools ## mypy --strict on lowrun/ and cli/
	@rm -rf build/typed && mkdir -p build/typed/lowrun
	@ln -s $(CURDIR)/lowrun/* build/typed/lowrun/ && ln -s $(CURDIR)/cli build/typed/lowrun/cli
	MYPYPATH=build/typed $(BIN)/mypy --strict -p lowrun

layers: $(VENV)/.tools ## who may import whom
	$(BIN)/python -m pytest -q tests/test_layers.py

warnings: $(VENV)/.tools ## C with more warnings than the build has
	cc -std=gnu11 -D_GNU_SOURCE -I_native -fsyntax-only -Wall -Wextra -Werror -Wshadow -Wvla -Wundef -Wpointer-arith \
		-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition $(filter %.c,$(wildcard _native/*.c))
	cc -std=gnu11 -I_native -ffreestanding -fno-builtin -fsyntax-only -Wall -Wextra -Werror -Wshadow -Wvla -Wundef \
		-Wstrict-prototypes $(wildcard _native/keeper/*.c)

bench: $(BENCH)/.installed ## ratios to peers, measured side by side in one run
	$(BENCH)/bin/python -m tests.bench

asan: $(VENV)/.tools ## the tests that touch C, under the address and undefined behaviour sanitizers
	$(BIN)/python tests/asan.py

wheel: $(VENV)/.created ## build/wheel/lowrun-*.whl
	$(BIN)/pip wheel -q --no-deps --no-build-isolation -w build/wheel .

clean: ## remove all that was built
	rm -rf $(VENV) build dist *.egg-info lowrun/*.so lowrun/lowrun-keeper .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- what the targets stand on

$(VENV)/.created:
	@.ci/packages $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q 'setuptools>=77' 'cffi>=1.15'
	@touch $@

$(VENV)/.installed: $(VENV)/.created $(SOURCES)
	$(BIN)/pip install -q --no-build-isolation -e '.[analyze]'
	@touch $@

$(VENV)/.tools: $(VENV)/.installed pyproject.toml
	@.ci/packages $(PYTHON) strace:strace vi:vim-tiny ps:procps fish:fish zsh:zsh $(CORPUS) $(NETWORK) $(KEPT) $(PAGES)
	$(BIN)/pip install -q --no-build-isolation -e '.[test,dev]'
	@touch $@

# Benches run lowrun as users have it, not from the source tree.
$(BENCH)/.installed: $(VENV)/.created $(SOURCES) $(wildcard lowrun/*.py lowrun/*/*.py cli/*.py)
	@.ci/packages $(PYTHON) strace:strace $(NETWORK) $(RIVALS)
	$(BIN)/python -m venv --clear $(BENCH)
	$(BENCH)/bin/pip install -q ".[plot,analyze]" psrecord pandas
	@touch $@
