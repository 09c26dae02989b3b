# make env    virtual environment in .venv (again only when the requirements change)
# make study  the whole study on the bundled miniature: rows, figures, report (re-running resumes)
# make test   every test, offline
# make lint   style and types
# make notebooks  executes the notebooks and keeps their outputs

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: env study test lint notebooks clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

study: $(STAMP)
	$(BIN)/litelvlm study all --model embedded --data embedded --report report

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: $(STAMP)
	TQDM_DISABLE=1 $(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb

clean:
	rm -rf report runs notebooks/runs .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist
	find litelvlm analysis figures tests -name __pycache__ -type d -prune -exec rm -rf {} +
