# Names for the usual commands; meson (meson.build) builds, the scripts in tools/ do the work.
SITE ?= ./site
SECONDS_EACH ?= 60
DESTDIR ?=
MAINTAINERS ?=

.PHONY: build demo run test bench lint fuzz format architecture roles install release clean help

build: ## build build/release/src/cellule (installs missing packages)
	@tools/bootstrap build
	@tools/build release

demo: ## make a site, ask it a question, check the receipt, stop
	@tools/bootstrap build
	@tools/build release
	@tools/demo --site "$(SITE)"

run: ## the same site, left up
	@tools/bootstrap build
	@tools/build release
	@tools/run --site "$(SITE)"

test: ## build with sanitizers and run every test
	@tools/bootstrap build test
	@tools/test

bench: ## the figures, as a table
	@tools/bootstrap build bench
	@tools/build release
	@tools/bench

lint: ## formatting, clang-tidy, file lengths, stray paths
	@tools/bootstrap build lint
	@tools/lint

fuzz: ## each fuzz target for SECONDS_EACH seconds
	@tools/bootstrap build fuzz
	@tools/fuzz "$(SECONDS_EACH)"

format: ## clang-format every C file
	@tools/bootstrap build lint
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

architecture: ## draw the module graph in ARCHITECTURE.md from the build
	@tools/bootstrap build
	@tools/build release
	@tools/architecture build/release/src/modules.txt ARCHITECTURE.md --write

roles: ## write the table of addresses and roles into docs/roles.md
	@tools/bootstrap build
	@tools/build release
	@tools/roles build/release/src/cellule docs/roles.md --write

install: build ## install binary, man page and completion below DESTDIR/usr/local
	@DESTDIR="$(DESTDIR)" meson install -C build/release --no-rebuild

release: ## build and pack a release, MAINTAINERS=FILE with its keys in it: build/package
	@tools/bootstrap build
	@tools/release $(if $(MAINTAINERS),--maintainers "$(MAINTAINERS)")

clean: ## remove build/ (the site stays)
	@rm -rf build

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22
