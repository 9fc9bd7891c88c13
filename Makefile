# troops: `make demo` shows it, `make test` checks it. Both do all set-up by themselves.

GO ?= go
BIN := bin/troops

.PHONY: all demo test bench pictures lint setup install dist fuzz clean

all: $(BIN)

# Always asked: go build knows by itself what has changed.
.PHONY: $(BIN)
$(BIN): need-go
	$(GO) build -o $(BIN) ./cmd/troops

.PHONY: need-go
need-go:
	@command -v $(GO) >/dev/null || { echo "make: go is missing: install Go 1.26 or newer (https://go.dev/dl)" >&2; exit 1; }

demo: $(BIN)
	@$(BIN) demo

# Installs what the tests need where it may (Debian, root), else says what to install.
setup:
	@sh integration/setup.sh

test: need-go setup $(BIN)
	$(GO) test -race -timeout 15m ./...

# NODES real sshd nodes and up to SIMULATED simulated ones; what else is installed of these programs
# is measured beside troops. Takes some minutes; docs/performance.md has the tables.
NODES ?= 100
SIMULATED ?= 10000
bench: $(BIN)
	@sh integration/setup.sh clustershell pssh pdsh python3-fabric ansible-core || echo "make bench: goes on without what is missing" >&2
	@$(GO) build -o bin/bench ./integration/bench
	@bin/bench -troops $(BIN) -nodes $(NODES) -simulated $(SIMULATED)

# The terminal pictures of docs/, of real runs on Linux, on a machine that calls itself laptop.
pictures: $(BIN)
	@mkdir -p docs/pictures
	@$(GO) build -o bin/pictures ./integration/pictures
	@unshare --map-root-user --uts sh -c 'hostname laptop && exec bin/pictures -troops $(BIN) -out docs/pictures'

lint: need-go
	@files=$$(gofmt -l cmd gitcli inventory sshx push doctor bootstrap output nodeside integration); \
	if [ -n "$$files" ]; then echo "not gofmt-ed: $$files" >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# Ten seconds for every fuzz target.
fuzz: need-go
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 10s $$pkg || exit 1; \
	  done; \
	done

install: $(BIN)
	install -m 0755 $(BIN) /usr/local/bin/troops

# The programs that troops bootstrap installs on hosts of another platform than its own, and
# those for workstations. They need no C library, so they run on any Linux.
DIST := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64
dist: need-go
	@for p in $(DIST); do \
	  echo "dist/troops-$$p"; \
	  CGO_ENABLED=0 GOOS=$${p%-*} GOARCH=$${p#*-} $(GO) build -trimpath -ldflags='-s -w' -o dist/troops-$$p ./cmd/troops || exit 1; \
	done

clean:
	rm -rf bin dist
