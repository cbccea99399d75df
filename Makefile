# One command each. `make` alone lists them.
.PHONY: help setup build install uninstall screens quickstart test check docs reference check-python check-postgres check-page engines shared bench sizes experiments soak dist wheel fmt clean

CARGO = cargo
PREFIX ?= /usr/local
DESTDIR ?=

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## check what is needed to build, get libtorch (once)
	@scripts/setup.sh

build: setup ## build the release program
	@$(CARGO) build --release --locked

install: build ## put program, libraries, completions and man pages under PREFIX (/usr/local), after DESTDIR
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install.sh install

uninstall: ## take them away again
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install.sh uninstall

screens: build ## take the terminal's screens in the documentation anew (needs tmux)
	@$(CARGO) build --release --locked --example replay_server
	@scripts/screens.sh

quickstart: build ## annotate the example corpus and show how good the labels are
	@scripts/quickstart.sh

test: setup ## run all tests
	$(CARGO) test --locked --doc
	$(CARGO) test --locked --lib --bins --tests

check: setup ## format, lints, tests, docs: what must hold before a commit
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	@$(MAKE) --no-print-directory docs test

# From crates.io, once, into target/: some four minutes of one processor.
MDBOOK_VERSION = 0.5.4
MDBOOK = target/tools/mdbook-$(MDBOOK_VERSION)/bin/mdbook

$(MDBOOK):
	$(CARGO) install --locked --version $(MDBOOK_VERSION) --no-default-features --features search \
		--root target/tools/mdbook-$(MDBOOK_VERSION) mdbook

docs: $(MDBOOK) ## build the book of docs/ into target/book
	$(MDBOOK) build docs

reference: setup ## write anew what is made from the program: schemas/, and the book's pages of keys and verbs
	CANDIST_BLESS=1 $(CARGO) test --locked --test it -- schemas::the_schemas_are
	CANDIST_BLESS=1 $(CARGO) test --locked --test it -- reference::the_reference_of_keys
	CANDIST_BLESS=1 $(CARGO) test --locked --lib -- the_reference_of_verbs

engines: setup ## Ray and Spark label what one process labels, a worker of each killed (examples/engines/; needs Java)
	@scripts/check-engines.sh

shared: build ## a trainer and four workers over a throw-away PostgreSQL: the labels of one machine, how fast, and how soon the next trainer goes on (needs PostgreSQL)
	@$(CARGO) build --release --locked --example replay_server
	@scripts/shared.py

check-python: setup ## tables of labels in pandas, polars, DuckDB, datasets and labelling tools; the Python package in a clean environment
	@scripts/check-tables.sh
	@scripts/check-python.sh

check-postgres: setup ## the tests of shared runs with PostgreSQL 13 to 18; needs npm and psql
	@scripts/check-postgres.sh

check-page: setup ## the page in Chromium, over a mock and over a real run that is killed; needs node and Chromium
	@scripts/check-page.sh

bench: setup ## measure speed and memory (benches/)
	@scripts/bench.sh

sizes: build ## ten thousand to ten million texts, with what there is without candist: tables and plot of docs/src/explanation/performance.md (an hour, 20 GB; CLASSIFIER=FOLDER for onnxruntime)
	@rm -rf target/sizes
	@scripts/scale.py target/sizes --small 10000000 $(if $(CLASSIFIER),--encoder "$(CLASSIFIER)")

experiments: build ## every refinery on the example corpus, 5 seeds: docs/src/explanation/experiments.md
	$(CARGO) run --release --locked --example experiments

soak: setup ## kills, power cuts, failures, damage and costs with their full counts (an hour)
	CANDIST_POWER_CUTS=10000 $(CARGO) test --locked --release --lib -- store::local::tests
	CANDIST_KILLS=20 CANDIST_CAPS=100 CANDIST_FAILPOINTS=1 CANDIST_DELETIONS=1024 CANDIST_DAMAGES=500 CANDIST_CASES=200 \
		$(CARGO) test --locked --release --test it -- kill cap_holds failpoints ruins formats function --nocapture

dist: build ## a folder that runs without Rust and libtorch, and a tar.zst of it, in dist/
	@scripts/dist.sh

wheel: build ## the Python package, with the program in it, in dist/
	@scripts/wheel.sh

fmt: ## format the code
	$(CARGO) fmt

clean: ## remove what was built and run
	$(CARGO) clean
	rm -rf runs
