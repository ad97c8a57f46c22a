# The versions of all tools are pinned here; the packages of the Node suites
# are pinned by the package-lock.json beside them.
GOLANGCI_LINT := v2.15.0
DEADCODE      := v0.52.0

MODULES  := . bench clients/gosdk
LINT     := $(CURDIR)/.tools/golangci-lint-$(GOLANGCI_LINT)/golangci-lint
FUZZTIME := 10s
SOAK     := 2h

.PHONY: build test check lint floors tidy deadcode race conformance clients load soak bench bench-quick fuzz tools

# One file that needs nothing, no C library either.
build:
	CGO_ENABLED=0 go build -o bin/ ./cmd/...

# Needs nothing but Go.
test:
	go test ./...

# All that CI checks. The stage names are targets of their own.
check:
	@for stage in lint tidy deadcode race conformance clients; do \
		echo "== $$(date +%T) $$stage"; \
		$(MAKE) --no-print-directory $$stage || exit; \
	done

# Among the linters are vet, staticcheck and the floors.
lint: tools
	@for m in $(MODULES); do (cd $$m && $(LINT) run ./...) || exit; done

# The floors of ARCHITECTURE.md are depguard's rules in .golangci.yml.
floors: tools
	$(LINT) run --enable-only depguard ./...

tidy:
	@for m in $(MODULES); do (cd $$m && go mod tidy -diff) || exit; done

# Functions that neither a program nor a test reaches; deadcode itself exits 0.
deadcode:
	@dead="$$(go run golang.org/x/tools/cmd/deadcode@$(DEADCODE) -test ./...)" || exit; \
	if [ -n "$$dead" ]; then echo "$$dead"; exit 1; fi

race:
	go test -race ./...
	cd bench && go test -race ./...

# The official suite; what may fail, and why, is in conformance/excused.go.
conformance: conformance/node_modules/.package-lock.json
	go run ./conformance

# Real clients against the built program: mcp-go's, the Go SDK's, the
# TypeScript SDK's two. In signin those two, mcp-remote and the Inspector are
# given its address alone. In seeds are those of docs/seeds.md, in proxied nginx
# and Caddy are in between.
clients: build $(addsuffix /node_modules/.package-lock.json,clients/typescript clients/signin clients/seeds)
	go test -race ./clients/...
	cd clients/gosdk && go test -race -count=1 ./...
	cd clients/typescript && npm test
	cd clients/seeds && npm test
	go build -o bin/ ./clients/browser/browse
	cd clients/signin && npm test

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --ignore-scripts

# The load checks at their full size; race and test run them small.
load:
	go test -count=1 -timeout 60m ./load -load.full
	go test -count=1 -timeout 60m ./durability -durability.full

# Against the peers, by CPU time: six minutes; bench-quick takes one.
bench bench-quick: build
	cd bench && go run . $(if $(filter %-quick,$@),-quick)

# Everything breaks at once for hours, and what the server holds stays flat.
soak:
	go test -count=1 -timeout 0 ./chaos -chaos.for=$(SOAK) -chaos.full

fuzz:
	@for pkg in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg || exit; \
		done; \
	done

# Built here once, about four minutes on two cores.
tools: $(LINT)

$(LINT):
	GOBIN=$(dir $@) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
