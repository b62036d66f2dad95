# Two commands matter: `make demo` and `make test`. The first call makes .venv from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
comma := ,
MUTANTS := .venv-mutants
# Tests run side by side, a file at a time.
PYTEST := python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/$(BIN):$(PATH)
# No other code in place of this project's, and no window for its figures.
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH MPLBACKEND
# Nor what ends it in the middle of a library.
unexport PYTHONWARNINGS PYTHONINSPECT PYTHONIOENCODING SOURCE_DATE_EPOCH
export PYTHONUTF8 := 1
# Snakemake asks for a cache and a user's name; a container's user may have no home and no name.
ifneq ($(shell cache="$${XDG_CACHE_HOME:-$$HOME/.cache}"; mkdir -p "$$cache" 2>&1 && [ -w "$$cache" ] || echo none),)
export XDG_CACHE_HOME := $(CURDIR)/.snakemake/cache
endif
ifeq ($(LOGNAME)$(USER)$(LNAME)$(USERNAME),)
export USER := $(shell id -un 2>/dev/null || id -u)
endif

# Every target that `make help` names.
.PHONY: help $(shell sed -n 's/^## make \([a-z-]*\).*/\1/p' Makefile)

help:
	@sed -n 's/^## //p' Makefile

## make demo         real MNIST, drawn flowers, a small pretrained backbone: table, plots, report (QUIET=1, CONFIG=my.yaml laid over it)
demo: $(READY)
	@python scripts/run.py results/demo --workflow-profile profiles/demo \
		$(if $(CONFIG),--configfile config/demo.yaml "$(CONFIG)")

## make pictures     train on pictures of your own, a folder a class: FOLDER=folder (TABLE=csv, SMALL=skip or train, NAME=word)
pictures: unlock
	@python scripts/pictures.py "$$FOLDER" $(if $(TABLE),--table "$$TABLE") $(if $(SMALL),--small "$(SMALL)") $(if $(NAME),--name "$(NAME)")

## make predict      ask a trained net what pictures show: RUN=results/mine/runs/NET/RUN IMAGES=folder
predict: unlock
	@python scripts/ask.py "$$RUN" "$$IMAGES"

## make docs-pictures  README's pictures of both, of drawn flowers: docs/pictures_*.png
docs-pictures: unlock
	@python scripts/show_pictures.py

## make unlock       take off a killed run's lock; whatever runs here begins with it
unlock: $(READY)
	@python scripts/unlock.py

## make test         the fast tests
test: $(READY)
	@$(PYTEST)

## make test-heavy   the tests that take minutes
test-heavy: $(READY)
	@$(PYTEST) -m heavy

## make test-all     both, in one run
test-all: $(READY)
	@$(PYTEST) -m "" --durations 20

## make reliability  break things on purpose; writes docs/RELIABILITY.md
reliability: $(READY)
	@python -m pytest -m fault --reliability=docs/RELIABILITY.md

## make messages     the same, and every message of that table whole, to be read in one go
messages: $(READY)
	@file=$$(mktemp); python -m pytest -m fault --messages="$$file" >&2; status=$$?; \
		cat "$$file"; rm "$$file"; exit $$status

## make offline FROM=folder   which files that a run needs are there, missing or wrong (CONFIG=file.yaml)
offline: $(READY)
	@python scripts/offline.py $(if $(FROM),--from "$$FROM") $(if $(CONFIG),--configfile "$$CONFIG")

## make reproduce    the full run: official sources, ResNet-152 and ConvNeXt-Large
reproduce: $(READY)
	@python scripts/run.py results --cores 4 --resources gpu=1

## make rehearse     the full run with stand-ins for what it fetches; writes docs/REHEARSAL.md (IMAGES=n, NOTEBOOK=n, KILL=1, PARTS=rates)
rehearse: unlock
	@python scripts/rehearse.py $(if $(IMAGES),--images $(IMAGES),--output docs/REHEARSAL.md) \
		$(if $(NOTEBOOK),--notebook $(NOTEBOOK)) $(if $(KILL),--kill) $(if $(PARTS),--parts $(PARTS))

## make reference    20 seeds of each MNIST net of the report; writes resources/reference; goes on where it was interrupted (CONFIG=file)
reference: unlock
	@snakemake --cores 1 --quiet all $(if $(CONFIG),--configfile $(CONFIG)) -- prepare_mnist
	@python scripts/reference.py $(if $(CONFIG),--configfile $(CONFIG))

## make bench-mnist  time the from-scratch nets against others; writes docs/BENCH_MNIST.md
bench-mnist: unlock
	@snakemake --cores 1 --quiet all -- data/mnist/split.csv
	@PYTHONPATH=scripts python -m bench.mnist --data data/mnist --output docs/BENCH_MNIST.md --csv docs/bench_mnist.csv

## make example      docs/example/ and README's pictures from results/demo, to be seen before anything is installed
example: $(READY)
	@python scripts/example.py

## make from-scratch docs/FROM_SCRATCH.md: the NumPy net step by step, for a class
from-scratch: unlock
	@snakemake --cores 1 --quiet all -- data/mnist/split.csv
	@python scripts/from_scratch.py

## make methods      METHODS.md in a run's results: for a paper or a course (RESULTS=folder)
methods: $(READY)
	@python scripts/methods.py "$(or $(RESULTS),results/demo)"

## make archive      a run's results, its crate and the code in one zip (RESULTS=folder, AS_IT_IS=1)
archive: $(READY)
	@python scripts/archive.py $(if $(RESULTS),--results "$(RESULTS)") $(if $(AS_IT_IS),--as-it-is)

## make verify-archive ARCHIVE=file.zip   its hashes, its code, and its figures from its predictions
verify-archive: $(READY)
	@python scripts/verify_archive.py "$(ARCHIVE)"

## make why FIGURE=model/set/metric   what a figure was made of, link by link (RESULTS=folder)
why: $(READY)
	@python scripts/why.py "$(FIGURE)" $(if $(RESULTS),--results "$(RESULTS)")

## make compare A=folder B=folder   two runs beside each other: configuration and test accuracies
compare: $(READY)
	@python scripts/compare_runs.py "$(A)" "$(B)"

## make bench-flowers  images per second of the flower nets, by engine; writes docs/BENCH_FLOWERS.md (NETS=, ROUNDS=)
bench-flowers: $(READY)
	@PYTHONPATH=scripts python -m bench.flowers --output docs/BENCH_FLOWERS.md --csv docs/bench_flowers.csv \
		$(if $(NETS),--nets $(NETS)) $(if $(ROUNDS),--rounds $(ROUNDS))

## make bench-heads  one head in a job against ten in one; writes docs/BENCH_HEADS.md
bench-heads: $(READY)
	@PYTHONPATH=scripts python -m bench.heads --output docs/BENCH_HEADS.md

## make load         10,000 to 100,000 small images through the rules; writes docs/LOAD.md
load: $(READY)
	@PYTHONPATH=scripts python -m bench.load --output docs/LOAD.md --csv docs/bench_load.csv

## make verdicts     how often do verdicts err? by simulation; writes docs/VERDICTS.md
verdicts: $(READY)
	@PYTHONPATH=scripts python -m bench.verdicts --output docs/VERDICTS.md

## make mutants      change the protocol's code bit by bit: which changes does no test notice? (MODULES=, SECONDS=)
mutants: $(MUTANTS)/.ready
	@$(MUTANTS)/bin/python tests/mutants.py $(MODULES) $(if $(SECONDS),--seconds $(SECONDS))

## make check        lint, format, types
check: $(READY)
	@ruff check .
	@ruff format --check .
	@snakefmt --check Snakefile rules
	@snakemake --lint
	@mypy

## make format       format all code
format: $(READY)
	@ruff check --fix-only -q .
	@ruff format -q .
	@snakefmt Snakefile rules

## make lock         resolve requirements.in anew (needs uv)
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--quiet requirements.in --output-file requirements.lock

## make clean        remove what runs have made, but keep downloads and .venv
clean:
	rm -rf .snakemake .mutants data/fetched data/mnist data/generated data/rehearsal data/rehearsal-notebook data/lecun1998
	@for folder in results logs benchmarks; do [ ! -d $$folder ] || \
		find -H $$folder -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +; done
	@for table in data/*/images.csv; do rm -rf "$$(dirname "$$table")"; done

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
		"Python 3.11 to 3.13 is needed, this is %d.%d; name one: make PYTHON=python3.12 ..." % v)'
	@[ ! -L .venv ] || { echo ".venv is a link to an environment that others may use: make it there"; exit 1; }
	@echo "Making .venv, once: $(if $(INDEX),PyTorch from $(INDEX),3 GB to fetch$(comma) 6 GB on disk$(comma) mostly PyTorch and CUDA)."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python scripts/install.py "$(INDEX)"
	@touch $@

# What .venv has, and beside it the tool, which nothing else needs.
$(MUTANTS)/.ready: requirements-mutants.txt $(READY)
	@$(BIN)/python -m venv --clear $(MUTANTS)
	@$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' \
		> "$$($(MUTANTS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/venv.pth"
	@$(MUTANTS)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements-mutants.txt
	@touch $@
