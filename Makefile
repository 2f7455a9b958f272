# lapwing: make run | test | check | bench | soak | pgo | dist
export CGO_ENABLED := 0
export GOFLAGS := -buildvcs=false

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
DATA    ?=
BIN     := bin/lapwing

.PHONY: run build test check bench soak pgo dist setup clean

# The main job on embedded defaults. DATA=DIR keeps its data elsewhere.
run: build
	$(BIN) up $(if $(DATA),--data $(DATA))

build:
	@mkdir -p bin
	go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/lapwing

# Clients that tests use; without root or network, what is missing is skipped.
setup:
	@sh .ci/setup

test: setup
	go vet ./...
	go test -timeout 9m ./...

check: setup
	go vet ./...
	go mod tidy -diff
	@sh .ci/lint
	go test -shuffle=on ./...
	@if command -v gcc >/dev/null; then CGO_ENABLED=1 go test -race -short ./...; else echo "no C compiler: the race detector is skipped"; fi
	GOOS=darwin go build ./... && GOOS=windows go build ./... && GOARCH=arm64 go build ./...

bench: build setup
	LAPWING_BIN=$(CURDIR)/$(BIN) sh .ci/bench

soak: build setup
	LAPWING_SOAK=1 go test -timeout 120m -count=1 ./...

# A profile for the compiler, made on this machine (docs/decisions/0032-profile.md).
pgo: setup
	@sh .ci/pgo

# Static binaries with checksums and a bill of materials.
dist:
	@sh .ci/dist $(VERSION)

clean:
	rm -rf bin dist
