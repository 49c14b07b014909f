# `make help` lists the targets. Everything a target needs is built or installed
# by it; tools go to .cache/bin, which git ignores.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# One thing after the other: they share two cores, and output in order can be read.
.NOTPARALLEL:

export GOTOOLCHAIN := local
# A checkout that another user owns must build too; the version comes from git describe.
export GOFLAGS := $(if $(findstring -buildvcs,$(GOFLAGS)),$(GOFLAGS),$(GOFLAGS) -buildvcs=false)

VERSION := $(shell git describe --tags --dirty --always 2>/dev/null || echo unknown)
RELEASE := 0.1.0
LDFLAGS := -s -w -X main.version=$(RELEASE)

CACHE := $(CURDIR)/.cache
TOOLS := $(CACHE)/bin
OUT   := $(CACHE)/test

# Pinned, so that green today is green tomorrow.
GOLANGCI_VERSION    := v2.15.0
STATICCHECK_VERSION := v0.8.2
GOTESTSUM_VERSION   := v1.13.0
GOFUMPT_VERSION     := v0.12.0
BENCHSTAT_VERSION   := v0.0.0-20260908200009-22c9c6c9d4da
# As in tests/cluster/consul/go.mod.
CONSUL_VERSION := v1.22.2

GOLANGCI    := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)
STATICCHECK := $(TOOLS)/staticcheck-$(STATICCHECK_VERSION)
GOTESTSUM   := $(TOOLS)/gotestsum-$(GOTESTSUM_VERSION)
GOFUMPT     := $(TOOLS)/gofumpt-$(GOFUMPT_VERSION)
CONSUL      := $(TOOLS)/consul-$(CONSUL_VERSION)
PEERS       := $(TOOLS)/bench-peers
BENCHSTAT   := $(TOOLS)/benchstat-$(BENCHSTAT_VERSION)

# Modules apart from the broker's, so that what only tests need is not in its go.mod.
TEST_MODULES := tests/codec tests/clients
MODULES      := $(TEST_MODULES) tests/conformance/controls tests/backends/mongo tests/bench/peers
PLATFORMS    := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 freebsd/amd64 freebsd/arm64 windows/amd64

# What `make fuzz`, `make bench` and `make soak` may be told: make fuzz FUZZTIME=5m
FUZZTIME   ?= 10s
BENCH      ?= .
BENCHCOUNT ?= 6
BASE       ?= HEAD
PARTS      ?= ./protocol/mqtt ./protocol/index ./actors/kernel ./actors/topics ./cluster/link ./tests/bench
RUNS       ?= 3
ONLY       ?=
SOAKTIME   ?= 30m
SEEDS      ?= 3000
FIRST      ?= 1
# How many `make check` plays: about a minute on two cores.
SIMCHECK   ?= 100

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use

.PHONY: build
build: ## build bin/emqttd, bin/emqttd_ctl and bin/emqttd_bench, static
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...
	@echo "built bin/emqttd, bin/emqttd_ctl and bin/emqttd_bench $(RELEASE) ($(VERSION))"

.PHONY: run
run: build ## build, then run a node here on etc/emq.conf
	@echo "starting a node on etc/emq.conf; Ctrl-C stops it"
	@echo "  try: mosquitto_sub -t 'a/#' -v & mosquitto_pub -t a/b -m hi -q 2"
	@exec bin/emqttd -c etc/emq.conf console

.PHONY: man
man: ## write docs/man/emqttd_ctl.1 anew; a test says when that is due
	go test ./cmd/emqttd_ctl -run Manual -update

.PHONY: conformance
conformance: ## hold a broker against the specifications: make conformance ADDR=host:port
	@test -n "$(ADDR)" || { echo "usage: make conformance ADDR=host:port" >&2; exit 2; }
	@go run ./tests/conformance -addr $(ADDR)

.PHONY: bench-broker
bench-broker: build ## measure the broker against its limits; prints a Markdown table
	@go run ./tests/bench -bin bin

.PHONY: bench-peers
bench-peers: build $(PEERS) ## measure it beside mosquitto, mochi-mqtt and NATS: RUNS (3), ONLY (regexp); writes docs/benchmarks/peers.md
	@command -v mosquitto >/dev/null || test -x /usr/sbin/mosquitto || { \
		echo "installing mosquitto"; apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mosquitto >/dev/null; }
	@go run ./tests/bench peers -bin bin -peers $(PEERS) -runs $(RUNS) -only '$(ONLY)' $(if $(ONLY),,-out docs/benchmarks/peers.md)

##@ Test

.PHONY: test
test: deps check race ## install or build what the tests need, then run all of them

.PHONY: consul
consul: $(CONSUL) ## build Consul for the tests of the cluster, once; prints where it is
	@echo $(CONSUL)

.PHONY: race
race: deps $(GOTESTSUM) $(CONSUL) ## run all tests with the race detector, in random order
	@rm -rf $(OUT) && mkdir -p $(OUT)
	@bad=0; \
	echo "== tests of the broker, with the race detector"; \
	$(GOTESTSUM) --format pkgname --jsonfile $(OUT)/broker.json -- -race -shuffle=on -timeout 15m ./... || bad=1; \
	echo "== power cuts, without the race detector: there are more of them in the same time"; \
	$(GOTESTSUM) --format pkgname --jsonfile $(OUT)/cuts.json -- -count=1 -timeout 10m -run 'PowerLoss' ./tests/durability || bad=1; \
	echo "== what has several gRPC servers in a process, without the race detector: the framework sets gRPC's logger anew with each"; \
	$(GOTESTSUM) --format pkgname --jsonfile $(OUT)/operators.json -- -count=1 -timeout 10m -run 'Operators|Plugin|Loaded|Retainer|Module|DoesNotAnswer' ./tests/scenario ./cluster/wire || bad=1; \
	for m in $(TEST_MODULES); do \
		echo "== $$m"; \
		(cd $$m && $(GOTESTSUM) --format pkgname --jsonfile $(OUT)/$${m//\//-}.json -- -shuffle=on -timeout 10m ./...) || bad=1; \
	done; \
	go run ./tests/tools/verdict $(OUT)/*.json || bad=1; \
	exit $$bad

.PHONY: check
check: fmt-check vet staticcheck lint tidy-check cross fuzz sim-check ## everything but the tests: format, vet, lint, platforms, fuzz

.PHONY: fmt
fmt: $(GOFUMPT) ## format the code
	$(GOFUMPT) -w $$(git ls-files '*.go')

.PHONY: tidy
tidy: ## tidy go.mod here and in the test modules, which depend on it
	go mod tidy
	@for m in $(MODULES); do (cd $$m && go mod tidy); done

.PHONY: fmt-check
fmt-check: $(GOFUMPT)
	@echo "== gofumpt"
	@bad=$$(git ls-files --cached --others --exclude-standard '*.go' | xargs $(GOFUMPT) -l); \
		if [ -n "$$bad" ]; then echo "not formatted (make fmt):"; echo "$$bad"; exit 1; fi

.PHONY: vet
vet:
	@echo "== go vet"
	@go vet ./...
	@for m in $(MODULES); do (cd $$m && go vet ./...); done

.PHONY: staticcheck
staticcheck: $(STATICCHECK)
	@echo "== staticcheck"
	@$(STATICCHECK) ./...

.PHONY: lint
lint: $(GOLANGCI) ## the linters of .ci/golangci.yml, import order among them
	@echo "== golangci-lint"
	@$(GOLANGCI) run --config .ci/golangci.yml ./...

.PHONY: tidy-check
tidy-check:
	@echo "== go mod tidy"
	@go mod tidy -diff
	@for m in $(MODULES); do (cd $$m && go mod tidy -diff); done

.PHONY: cross
cross: ## build for every platform
	@for p in $(PLATFORMS); do \
		echo "== build $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} go build ./... ; \
	done

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME (10s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: sim-check
sim-check:
	@echo "== $(SIMCHECK) seeds of clusters in virtual time"
	@go test -count=1 -timeout 20m ./tests/sim -seeds=$(SIMCHECK)
	@go test -count=1 -timeout 20m -tags simbug -run Mistake ./tests/sim

.PHONY: sim
sim: ## disturb clusters in virtual time: SEEDS (3000) seeds from FIRST (1) on
	go test -count=1 -timeout 24h ./tests/sim -seeds=$(SEEDS) -first=$(FIRST)
	go test -count=1 -timeout 1h -tags simbug -run Mistake ./tests/sim

.PHONY: bench
bench: ## run the benchmarks (BENCH=regexp, BENCHCOUNT=6)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCHCOUNT) ./...

.PHONY: bench-compare
bench-compare: $(BENCHSTAT) ## benchmarks of the PARTS, here and at BASE (HEAD), in turns, by benchstat
	@.ci/bench-compare $(BENCHSTAT) '$(BASE)' $(BENCHCOUNT) '$(BENCH)' $(PARTS)

.PHONY: cover
cover: ## measure what the tests cover; coverage.out
	go test -coverpkg=./actors/...,./protocol/...,./cluster/...,./config/... -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out | tail -1

.PHONY: soak
soak: $(CONSUL) ## kill actors under load for SOAKTIME (30m), cut the power 2,000 times, kill the program 100 times, overload it, split five nodes, reload
	TEST_CRASHES=2000 go test -count=1 -timeout 2h -run 'PowerLoss|NoFailureOfTheDisk' -v ./tests/durability
	TEST_KILLS=100 go test -count=1 -timeout 1h -run KilledProcess -v ./tests/durability
	TEST_CLUSTER=long go test -count=1 -timeout 2h -v ./tests/cluster
	TEST_OVERLOAD=60s go test -count=1 -timeout 10m -run OverloadedNode -v ./tests/scenario
	TEST_RELOAD=10000 go test -count=1 -timeout 10m -run AReloadUnderTraffic -v ./tests/scenario
	TEST_SEQUENCES=1000 go test -race -count=1 -timeout 1h -parallel 16 -run AnySequence ./actors/configuration
	TEST_STAMPEDE=$(SOAKTIME) go test -race -count=1 -timeout 24h -run Stampede -v ./tests/scenario

.PHONY: clean
clean: ## remove what was built; tools stay
	rm -rf bin $(OUT) coverage.out tests/clients/node_modules

##@ What the others need

.PHONY: deps
deps:
	@.ci/deps

$(GOLANGCI):
	@.ci/tool $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

$(STATICCHECK):
	@.ci/tool $@ honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)

$(GOTESTSUM):
	@.ci/tool $@ gotest.tools/gotestsum@$(GOTESTSUM_VERSION)

$(GOFUMPT):
	@.ci/tool $@ mvdan.cc/gofumpt@$(GOFUMPT_VERSION)

$(BENCHSTAT):
	@.ci/tool $@ golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)

$(PEERS): $(wildcard tests/bench/peers/*)
	@echo "building mochi-mqtt and NATS server, in a module of their own"
	@mkdir -p $(TOOLS)
	@cd tests/bench/peers && CGO_ENABLED=0 go build -o $@ .

# No Debian package has it. It is five minutes' work; the version is in the name of the file.
$(CONSUL):
	@echo "building Consul $(CONSUL_VERSION)"
	@mkdir -p $(TOOLS)
	@cd tests/cluster/consul && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@.new github.com/hashicorp/consul
	@mv $@.new $@
