# Everything a person or a pipeline does here; `make help` lists it. Set-up comes by itself (setup.sh).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/target/node/node_modules/node/bin:$(HOME)/.cargo/bin:$(PATH)

TARGET := $(or $(CARGO_TARGET_DIR),target)
EXAMPLES := target/examples
LEAKHOUND := target/release/leakhound
WEB := report/web
# Probes need root; everything else does not.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
# What a person may ask of the tests on a cluster, which sudo would not hand on.
ASKED = $(foreach name,CI LEAKHOUND_E2E_KEEP LEAKHOUND_E2E_PROVIDER,$(if $($(name)),$(name)=$($(name))))

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: build ## Investigate examples/seed.c for ten seconds: prints the result, writes report.html
	$(MAKE) --no-print-directory --silent -C examples OUT=$(CURDIR)/$(EXAMPLES) c
	$(SUDO) $(LEAKHOUND) run --duration 10s --interval 1s --html report.html -- $(EXAMPLES)/seed
	@echo 'The whole report: open report.html in a browser.'

.PHONY: build
build: setup-build ## Build target/release/leakhound
	cargo build --release --package leakhound
ifneq ($(TARGET),target)
	install -D $(TARGET)/release/leakhound $(LEAKHOUND)
endif

.PHONY: test
test: lint ## Lint, then run every test: rules, real eBPF as root, the page in a real browser, all of it on a real cluster
	cargo test --workspace --no-fail-fast
	cargo test --workspace --no-fail-fast --test agent -- --test-threads 4
	cd $(WEB) && npm run --silent samples && npm run --silent test
	cargo test --workspace --test cluster

.PHONY: lint
lint: setup-test $(WEB)/node_modules/.package-lock.json ## Check format, lints, dependencies, documentation, and that the built page and the definitions are current
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path examples/Cargo.toml
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --workspace --test agent --test cluster -- --deny warnings
	cargo run --quiet --package leakhound-crds --bin crdgen -- check
	cargo clippy --workspace --manifest-path examples/Cargo.toml --target-dir $(EXAMPLES)/cargo -- --deny warnings
	cargo deny --log-level error check bans licenses sources
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --quiet
	cd $(WEB) && npm run --silent check-built

.PHONY: crds
crds: setup-build ## Write the definitions of the cluster's resources and docs/api.md anew, from the types in crds/src
	cargo run --quiet --package leakhound-crds --bin crdgen -- write

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json | setup-test
	cd $(WEB) && npm ci --silent
	touch $@

.PHONY: bench
bench: setup-build ## Compare what watching costs, as ratios in one run; ONLY=deep for some scenarios, SECONDS=2 for how long each
	cargo bench --quiet --package leakhound-tracer --bench cost --no-run
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" ONLY="$(ONLY)" SECONDS="$(SECONDS)" cargo bench --quiet --package leakhound-tracer --bench cost

.PHONY: score
INTO ?= target/score
score: build ## Record and judge the planted programs: precision and recall; ONLY=name for some, INTO=folder to keep recordings
	cargo build --quiet --package leakhound-report --example score
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" $(TARGET)/debug/examples/score --recordings '$(INTO)' --only '$(ONLY)'

.PHONY: e2e
ONLY ?=
e2e: setup-test ## Run the tests on a real cluster with the chart and leaky pods; ONLY=name for some
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" $(ASKED) cargo test --workspace --test cluster -- $(ONLY)

.PHONY: cluster cluster-demo cluster-down
E2E = $(SUDO) env PATH="$$PATH" HOME="$$HOME" $(ASKED) $(TARGET)/debug/leakhound-e2e
cluster: setup-cluster ## Bring up a real cluster with Leakhound on it: on kind where Docker is, else without Docker
	@cargo build --quiet --package leakhound-e2e
	@$(E2E) install

cluster-demo: setup-cluster ## From nothing to a verdict on a cluster: install, a leaky pod, an investigation; writes report.html
	@cargo build --quiet --package leakhound-e2e
	@$(E2E) demo

cluster-down: ## End that cluster and remove everything it left
	@cargo build --quiet --package leakhound-e2e
	@$(E2E) down

.PHONY: kernels
kernels: setup-kernels ## Run tests with real probes on other kernels in QEMU; the result is docs/kernels.md
	cargo build --quiet --package leakhound
	tests="$$(cargo test --package leakhound-tracer --lib --test live --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))$$/\1/p')"; \
		tracer/tests/kernels/run.sh $$(realpath $$tests $(TARGET)/debug/leakhound)

.PHONY: journey
journey: setup-test ## The way of an investigation, watched: a real API server, operator, agent and a leaky program, without a cluster
	$(SUDO) env PATH="$$PATH" HOME="$$HOME" cargo test --quiet --package leakhound-e2e --test journey -- --nocapture

.PHONY: fuzz
FUZZ_SECONDS ?= 60
fuzz: setup-fuzz ## Fuzz every parser of hostile input, each for FUZZ_SECONDS=60
	for folder in report/fuzz tracer/fuzz; do \
		for target in $$(cargo fuzz list --fuzz-dir $$folder); do \
			mkdir -p $$folder/corpus/$$target; \
			cargo fuzz run --fuzz-dir $$folder --sanitizer none $$target $$folder/corpus/$$target \
				$$(find $$folder/seeds -maxdepth 0 2>&-) -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
		done; \
	done

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
	rm -rf report.html target $(WEB)/node_modules

.PHONY: setup-build setup-test setup-cluster setup-fuzz setup-kernels
setup-build setup-test setup-cluster setup-fuzz setup-kernels: setup-%:
	@./setup.sh $*
