# The commands of the project. Bare `make` prints them.

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench load load-push load-sync soak converge races carddav dashboards pictures walk screenshots load-console lighthouse

DATA_HOME := $(or $(XDG_DATA_HOME),$(HOME)/.local/share)

# Root's home is closed to user postgres, which Postgres runs as then.
DATA_DIR ?= $(if $(filter 0,$(shell id -u)),/var/lib/unificus-dev,$(DATA_HOME)/unificus/dev)
PORT ?= 8080
ENV_FILE ?=
LOAD_ARGS ?=
MINUTES ?= 10
SEEDS ?= 1000
ROUNDS ?= 1000
EDITS ?= 500
WALK_DIR ?= /var/tmp/unificus-walk

# A connection is a file, and some shells begin with 1,024.
FILES := ulimit -n "$$(ulimit -Hn)" 2>/dev/null || true

# What the set-up step unpacked comes first; rustup's directory last, for shells that have not read its profile yet.
export PATH := $(DATA_HOME)/unificus/bin:$(PATH):$(HOME)/.cargo/bin

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what this machine lacks (apt or brew, with sudo unless root)
	@deploy/setup.sh

run: setup ## start the service with a private Postgres and NATS and a demo account (DATA_DIR=, PORT=, ENV_FILE=)
	@cargo build --release --locked --bin unificus
	@$(FILES); exec cargo run --release --locked --quiet --bin unificus -- dev \
		--data-dir "$(DATA_DIR)" --port "$(PORT)" $(if $(ENV_FILE),--env-file "$(ENV_FILE)")

test: ## run all tests, on a private Postgres, NATS and Chromium of their own; may run beside `make run`
	@deploy/setup.sh tests
	@$(FILES); cargo test --locked

lint: ## check formatting, lints, the architecture, and the licences and sources of dependencies
	@deploy/setup.sh lint
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo test --quiet --locked --test architecture
	cargo deny --locked check --hide-inclusion-graph bans licenses sources

bench: setup ## measure the pure parts: decide, codec, signature
	@cargo bench --locked --bench micro

load: setup ## measure the running service against the limits of this machine (LOAD_ARGS=)
	@cargo build --release --locked --bin unificus
	@$(FILES); cargo bench --locked --bench load -- $(LOAD_ARGS)

load-push: setup ## measure deliveries by webhook: rates, latency, outage, crash, attack (three minutes)
	@cargo build --release --locked --bin unificus
	@$(FILES); cargo bench --locked --bench load -- --only push

load-sync: setup ## measure synchronization: batches, feed, import, commands by NATS, undo (LOAD_ARGS=)
	@cargo build --release --locked --bin unificus
	@$(FILES); cargo bench --locked --bench sync -- $(LOAD_ARGS)

load-console: setup ## measure every page of the console of an account with 100,000 contacts (RECORDS=, REQUESTS=, ONLY=)
	@cargo build --release --locked --bin unificus
	@$(FILES); python3 benches/console/measure.py "$${CARGO_TARGET_DIR:-target}/release/unificus"

lighthouse: ## score five main pages of the console by Lighthouse, which npm installs into target/
	@deploy/setup.sh tests
	@cargo build --release --locked --bin unificus
	@mkdir -p "$${CARGO_TARGET_DIR:-target}/lighthouse" && cp tests/lighthouse/package*.json "$${CARGO_TARGET_DIR:-target}/lighthouse/"
	@cd "$${CARGO_TARGET_DIR:-target}/lighthouse" && npm ci --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@$(FILES); node tests/lighthouse/run.mjs "$${CARGO_TARGET_DIR:-target}/release/unificus" "$${CARGO_TARGET_DIR:-target}/lighthouse/node_modules"

soak: setup ## kill replicas, Postgres and NATS under load, then look for every event at every endpoint (MINUTES=)
	@cargo build --release --locked --bin unificus
	@$(FILES); cargo bench --locked --bench load -- --only soak --minutes $(MINUTES)

converge: ## synchronise partners that crash with replicas that are killed, from many seeds (SEEDS=)
	@deploy/setup.sh tests
	@$(FILES); cargo test --locked --test converge -- --only partners --seeds $(SEEDS)

races: ## let upserts of one reference race by HTTP and by NATS over two replicas (ROUNDS=)
	@deploy/setup.sh tests
	@$(FILES); cargo test --locked --test converge -- --only races --rounds $(ROUNDS)

carddav: ## edit address books on two CardDAV servers while everything is killed, then behind vdirsyncer (EDITS=)
	@deploy/setup.sh tests
	@$(FILES); cargo test --locked --test converge -- --only carddav --edits $(EDITS)
	@$(FILES); cargo test --locked --test converge -- --only vdirsyncer --edits $(EDITS)

dashboards: ## write the Grafana dashboards and the Prometheus consoles from deploy/grafana/panels.py
	@deploy/setup.sh tests
	@PYTHONDONTWRITEBYTECODE=1 $(DATA_HOME)/unificus/python/bin/python deploy/grafana/build.py

pictures: ## draw the consoles of two replicas under load, for docs/operations.md
	@deploy/setup.sh tests
	@$(FILES); cargo test --locked --test it -- watch::dashboards::every_panel
	@mkdir -p docs/pictures && cp "$${CARGO_TARGET_DIR:-target}"/tmp/pictures/*.png docs/pictures/

walk: setup ## as root, install by docs/operations.md in an empty Debian 12; check, restore, plant faults (WALK_DIR=)
	@cargo build --release --locked --bin unificus
	@tests/walk/walk.sh install "$(WALK_DIR)" "$${CARGO_TARGET_DIR:-target}/release/unificus" "$$(command -v nats-server)"
	@for verb in check restore faults remove; do tests/walk/walk.sh $$verb "$(WALK_DIR)" || exit 1; done

screenshots: ## write pictures of every page of the console to target/screenshots: desktop and phone, light and dark
	@deploy/setup.sh tests
	@cargo build --locked --bin unificus
	@$(FILES); PYTHONDONTWRITEBYTECODE=1 $(DATA_HOME)/unificus/python/bin/python tests/console_screenshots.py "$${CARGO_TARGET_DIR:-target}/debug/unificus" "$${CARGO_TARGET_DIR:-target}/screenshots"
	@cp "$${CARGO_TARGET_DIR:-target}"/screenshots/docs/*.png docs/pictures/
