# make demo   the whole loop on a built-in scene: no camera, no download, no account
# make test   ruff, mypy, import-linter and the tests; make test-fast: the tests that are not slow
# Each of them sets up .venv first, once, from pinned and hashed requirements.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready-$(shell cat requirements/dev.txt requirements/tools-litert.txt pyproject.toml | cksum | cut -d' ' -f1)
OUT ?= demo-out

.PHONY: ready demo test test-fast coverage docs lint requirements clean

ready: $(READY)

demo: $(READY)
	$(BIN)/edgeloop demo --out $(OUT) --overwrite

# Two processes share the files of tests among them.
test: $(READY) lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not slow"

# Not part of `make test`: measuring makes the tests half as slow again.
coverage: $(READY)
	$(BIN)/python -m pytest --cov

# The documentation, into site/; a broken link or a docstring that does not fit its function is an error.
docs: $(READY)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/docs.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks examples
	$(BIN)/lint-imports

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "edgeloop needs Python 3.11 or later; name it with: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@.ci/system-packages $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python --require-hashes -r requirements/tools-litert.txt
	@rm -f $(VENV)/ready-* && touch $@

# Pins anew from pyproject.toml. Hashes are kept, host names are not.
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
requirements: $(READY)
	echo 'uv' | $(UV_COMPILE) - -o requirements/uv.txt
	$(UV_COMPILE) pyproject.toml -o requirements/runtime.txt
	$(UV_COMPILE) pyproject.toml --extra all --extra dev -o requirements/dev.txt
	echo 'onnxruntime-gpu[cuda,cudnn]' | $(UV_COMPILE) --constraint requirements/dev.txt - -o requirements/gpu.txt
	$(UV_COMPILE) pyproject.toml requirements/image.in --extra serve --override requirements/image-overrides.txt --constraint requirements/dev.txt -o requirements/image.txt
	$(UV_COMPILE) pyproject.toml --extra docs --constraint requirements/dev.txt -o requirements/docs.txt

clean:
	rm -rf $(VENV) demo-out runs site
