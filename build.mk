# How `sam build` makes every artefact: samconfig.toml names this file as the manifest of all functions and layers, and
# SAM runs `make --makefile build.mk build-<LogicalId>` in a copy of the CodeUri or ContentUri, with ARTIFACTS_DIR set.
# No container and no matching interpreter is needed: uv picks wheels for the target, and the target is data.
#   WEIR_BUILD_PYTHON    minor version that the artefacts run on        (3.13: the cloud)
#   WEIR_BUILD_PLATFORM  uv platform of the wheels, empty for this host (aarch64-manylinux_2_28: Lambda on Graviton)
#   WEIR_BUILD_COMPILER  interpreter of that version, to compile with   (looked for on this machine)
# The wheels of argon2 and cryptography need glibc 2.28: Lambda's python3.12 and later have it, its python3.11 has not.
REPOSITORY := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
WEIR_BUILD_PYTHON ?= 3.13
WEIR_BUILD_PLATFORM ?= aarch64-manylinux_2_28
UV := $(firstword $(wildcard $(REPOSITORY)/.venv/bin/uv) uv)

# Lambda's file systems are read-only, so what is not compiled here is compiled at every cold start. Bytecode belongs to
# one minor version: without an interpreter of that version on this machine the sources ship as they are. The check
# against the source is off (unchecked-hash), since the two travel together and unpacking changes the time stamps.
WEIR_BUILD_COMPILER ?= $(shell $(UV) python find --no-python-downloads $(WEIR_BUILD_PYTHON) 2>/dev/null)
COMPILER := $(WEIR_BUILD_COMPILER)
ifneq ($(COMPILER),)
COMPILE = $(COMPILER) -m compileall -q --invalidation-mode unchecked-hash -s "$(ARTIFACTS_DIR)" -p / "$(ARTIFACTS_DIR)"
else
COMPILE = @echo "Python $(WEIR_BUILD_PYTHON) is not installed here: shipped without bytecode" >&2
endif

build-DependenciesLayer:
	$(UV) pip install --quiet --require-hashes --no-deps --only-binary :all: --link-mode copy \
	  --python-version $(WEIR_BUILD_PYTHON) $(addprefix --python-platform ,$(WEIR_BUILD_PLATFORM)) \
	  --target "$(ARTIFACTS_DIR)/python" -r $(REPOSITORY)/requirements/layer.txt
	rm -rf "$(ARTIFACTS_DIR)/python/bin" "$(ARTIFACTS_DIR)/python/.lock"
	find "$(ARTIFACTS_DIR)" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
	$(COMPILE)

# Everything else is our own source: copied, compiled.
build-%:
	find . -type d -name __pycache__ -prune -exec rm -rf {} +
	cp -R . "$(ARTIFACTS_DIR)"
	$(COMPILE)
