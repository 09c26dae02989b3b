# make env    virtual environment in .venv (again only when the requirements change)
# make study  the main studies on the bundled miniature: rows, figures, report (re-running resumes);
#             `litelvlm study all` runs the longer ones too
# make audit  papers against code: measures both readings of every statement
# make test   every test once, offline: make plain and make shapes (some processes with one thread
#             each), and beside them make lmms
# make lmms   the tests inside lmms-eval, in an environment of their own on top of .venv, since
#             lmms-eval needs an older protobuf
# make shapes the tests of parts and models, with every annotation checked at run time: shapes and
#             kinds of numbers of arrays, and types
# make lint   style and types
# make docs   the documentation site in site/, without a network; its search needs a server:
#             python -m http.server -d site
# make notebooks  executes the notebooks and keeps their outputs

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
LMMS   := .venv-lmms
LSTAMP := $(LMMS)/.installed
CORES := $(shell $(PYTHON) -c 'import os; print(os.cpu_count())')

# No module is compiled before it is imported: of 22,000 that are installed all tests take 8,000.
INSTALL := -m pip install --disable-pip-version-check --no-compile

# Compiled modules are kept, whatever the shell says: the tests start many processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: env study audit test suite plain shapes lmms lint docs notebooks clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "installing into $(VENV); this takes a few minutes and about 6 GB"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[all]'
	touch $@
	@echo "done; run: source $(BIN)/activate"

# Each process holds the miniature once.
study: $(STAMP)
	$(BIN)/litelvlm study mechanism reversal sink importance sweep ablations --set 'ablations.requests=[protocol]' \
		--model embedded --data embedded --workers $(if $(filter 1 2 3,$(CORES)),$(CORES),4) --report report

audit: $(STAMP)
	$(BIN)/litelvlm audit --measure --limit 24 --budgets 48 16 \
		--numbers analysis/pages/audit/measured.json

# The second environment is installed while the suite runs. Both share what they render.
test: $(STAMP)
	@cache=$$(mktemp -d); LITELVLM_CACHE=$$cache $(MAKE) --no-print-directory --jobs 2 suite lmms; \
		code=$$?; rm -rf $$cache; exit $$code

# One process more than there are cores, because many tests wait for processes of their own.
# Slow files stand in front, so none of them is left for the end.
WORKERS := -n $(shell expr $(CORES) + 1) --maxprocesses 5 --dist loadfile --no-loadscope-reorder

# Both parts run, whatever the first says.
suite:
	@$(MAKE) --no-print-directory plain; code=$$?; $(MAKE) --no-print-directory shapes && exit $$code

# No annotation is checked where tests draw thousands of studies, compute with no arrays, put
# stand-ins in a model's place, or hand over wrong types on purpose or through PyYAML.
UNSHAPED := all_methods archives balanced_part boxes cards cli clip_frames comfort crossed \
	damaged_runs early_refusals false_positives figure_choices figures figures_published \
	foreign_methods fuzz house hypotheses lmms_parts lmms_samples ls outside_numbers \
	overall_lines packaging parquet_bounds planted_levels planted_reversal planted_sweep \
	question_scores report report_story reproduction run_keys runs stale_rows \
	study_contract sweep_outlines
SHAPED := $(filter-out $(UNSHAPED:%=tests/unit/test_%.py),$(wildcard tests/unit/test_*.py)) \
	$(addsuffix .py,$(addprefix tests/integration/test_,model parity pruners_in_model shared signals \
	signals_layers tower training vlm_families))

PLAIN := $(filter-out $(SHAPED),$(sort $(shell find tests -name "test_*.py")))

plain: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS) $(PLAIN)

shapes: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS) \
		--jaxtyping-packages=litelvlm,beartype.beartype $(SHAPED)

# The second environment sees the packages of the first and holds only what differs.
$(LSTAMP): $(STAMP) constraints-lmms.txt
	test -x $(LMMS)/bin/python || $(BIN)/python -m venv $(LMMS)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		"$$($(LMMS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zz_main.pth"
	$(LMMS)/bin/python $(INSTALL) -c constraints-lmms.txt 'lmms-eval==0.7.3'
	$(LMMS)/bin/python $(INSTALL) --no-deps --no-build-isolation -e .
	touch $@

lmms: $(LSTAMP)
	@OMP_NUM_THREADS=1 $(LMMS)/bin/python -m pytest -n0 -p no:cacheprovider -q -o filterwarnings=default \
		tests/lmms/check_lmms.py > $(LMMS)/tests.log 2>&1; \
		code=$$?; cat $(LMMS)/tests.log; exit $$code

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

notebooks: $(STAMP)
	TQDM_DISABLE=1 $(BIN)/python notebooks/execute.py

clean:
	rm -rf report runs site notebooks/runs .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist
	find litelvlm analysis figures tests -name __pycache__ -type d -prune -exec rm -rf {} +
