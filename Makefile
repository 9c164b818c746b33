# The front door. `make help` lists what there is; CMakePresets.json is behind it.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 300

PYTHON = build/venv/bin/python
RUN_TESTS = $(PYTHON) scripts/run_tests.py --jobs $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help deps build python demo test asan tsan fuzz bench lint tidy format install clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
	  awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'

deps: ## install missing Debian packages, and Python packages into build/venv
	@scripts/deps

build: deps ## build the library, the demo host, the tests and the benchmarks into build/release
	cmake --preset release
	cmake --build --preset release -j $(JOBS)

python: deps ## install the Python package, built from here, into build/venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
	  --force-reinstall --config-settings=build-dir=build/python .

demo: build ## play an agent conversation through the demo host and watch its cost
	$(PYTHON) demo/run.py

test: deps ## lint, build and run the tests: release, Python, end to end, documents, address sanitizer, short fuzzing
	$(RUN_TESTS)

asan: deps ## only the tests under the address and undefined-behaviour sanitizers
	$(RUN_TESTS) asan

tsan: deps ## only the tests under the thread sanitizer
	$(RUN_TESTS) tsan

fuzz: deps ## fuzz each target for FUZZ_SECONDS (300)
	cmake --preset fuzz
	cmake --build --preset fuzz -j $(JOBS)
	scripts/fuzz $(FUZZ_SECONDS)

bench: build python ## measure against the limits in the same run
	@for program in prompt index sse; do build/release/bench/bench_$$program || exit 1; done
	@for script in demo_host python tool_cache cascade fleet; do $(PYTHON) bench/bench_$$script.py || exit 1; done

lint: deps ## clang-format, ruff, mypy --strict, clang-tidy
	$(RUN_TESTS) lint tidy

tidy: deps ## only clang-tidy; remembers what it found clean
	$(PYTHON) scripts/tidy.py --jobs $(JOBS)

format: deps ## rewrite the sources as clang-format and ruff want them
	git ls-files -co --exclude-standard '*.c' '*.cpp' '*.hpp' '*.h' | xargs clang-format -i
	$(PYTHON) -m ruff format .

install: build ## install library, headers, CMake package and pkg-config file under PREFIX (/usr/local)
	cmake --install build/release --prefix $(PREFIX)

clean: ## remove build/
	rm -rf build
