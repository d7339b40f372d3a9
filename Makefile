# make help lists the targets.

PYTHON ?= python3
PACKAGES = jax jaxlib torch numpy matplotlib

# An interpreter that has the five packages (Colab, your own environment) is
# used as it is and nothing is installed: upgrading a package there can lose
# the GPU. Otherwise .venv is made beside this file. find_spec looks packages
# up without importing them, which would take seconds.
HAVE = $(1) -c 'import sys, importlib.util as u; \
  sys.exit(not all(map(u.find_spec, "$(2)".split())))' 2>/dev/null
ifeq ($(shell $(call HAVE,$(PYTHON),$(PACKAGES)) && echo yes),yes)
  PY := $(PYTHON)
  READY :=
else
  PY := .venv/bin/python
  READY := .venv/ready
endif
# What only tests and tools need is put into .venv, and when first needed.
NEEDS = @$(call HAVE,$(PY),$(1)) || { \
  if [ "$(PY)" = .venv/bin/python ]; \
  then $(PY) -m pip install -q -r requirements-test.txt; \
  else echo "make $@ needs $(1): $(PY) -m pip install $(1)"; exit 4; fi; }
# Extra flags for compare.py: make all ARGS='--repeats 3'
ARGS ?=

# What `make all` compares; audit and report are of the same runs.
ALL = --dataset auto --measure floor $(ARGS)

# A further table: on a GPU that has TF32 (compute capability 8 and above) in
# TF32, else with one thread.
ifeq ($(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader \
        2>/dev/null | awk 'NR == 1 && $$1 >= 8 {print "yes"}'),yes)
  FURTHER = --precision tf32 --out results/floor_tf32
else
  FURTHER = --threads 1 --out results/floor_one_thread
endif
FLOOR = floor waterfall steps target_64 target_256 target_1024

# The short one: each library as documented, and the pair's best rungs. The whole
# comparison: make peers PEERS=
PEERS ?= --out results/peers --batch-sizes 256 --variants numpy:step \
  sklearn:fit keras-tensorflow:fit keras-jax:fit keras-torch:fit flax:step \
  equinox:step lightning:fit jax:epoch torch:eager torch:step $(ARGS)

# The four networks of vision/. On a processor the small version, without the one
# that would take six seconds a step; on a GPU in three precisions.
NETWORKS = mobilenet_v3_small efficientnet_b0 resnet50 vit_b_16
VISION = $(addsuffix _train,$(NETWORKS)) $(addsuffix _answer,$(NETWORKS))
ifeq ($(shell nvidia-smi >/dev/null 2>&1 && echo yes),yes)
  PRECISIONS = fp32 tf32 bf16
  MORE = --device cuda --examples 2560 --epochs 6 --timeout 7200 --variants \
    jax:step torch:eager torch:model torch-channels-last:eager torch-max-autotune:model
  TRAINED = --batch-sizes 32 128 $(MORE)
  ANSWERED = --batch-sizes 1 8 32 128 $(MORE)
else
  PRECISIONS = fp32
  TRAINED = --batch-sizes 8
  ANSWERED = --batch-sizes 1 8
  VISION := $(filter-out vit_b_16_train,$(VISION))
endif

.PHONY: all quick certify audit floor aa peers vision scale report test siege book \
  diff clean help

all: $(READY)  ## fetch MNIST, prove parity, compare (90 runs, 20 to 40 min), draw
	$(PY) compare.py $(ALL)

quick: $(READY)  ## the same, small: 8 runs of two epochs (2 to 4 min)
	$(PY) compare.py --dataset auto --quick --out results-quick $(ARGS)

certify: $(READY)  ## prove that every rung and feed computes the same (12 to 20 min)
	$(PY) compare.py --dataset auto --only certify $(ARGS)

audit: $(READY)  ## is the comparison in results/ fair: a verdict per rule
	$(PY) compare.py $(ALL) --only audit

floor: $(READY)  ## share of the floor, and where the time goes (80 min)
	@for recipe in $(FLOOR); do echo "== recipes/$$recipe.toml"; \
	  $(PY) compare.py --recipe recipes/$$recipe.toml $(ARGS) || exit; done
	$(PY) compare.py --recipe recipes/floor.toml $(FURTHER) $(ARGS)

aa: $(READY)  ## each script against itself: what this machine can tell apart
	$(PY) compare.py --recipe recipes/aa.toml $(ARGS)

peers: .venv-peers/ready  ## the same network in other libraries, certified (12 min)
	.venv-peers/bin/python compare.py --recipe recipes/mnist_peers.toml $(PEERS)

vision: $(READY)  ## four vision networks, training and answering (105 min; on a GPU: hours)
	@for precision in $(PRECISIONS); do for one in $(VISION); do work=$${one##*_}; \
	  echo "== $$one, $$precision"; \
	  case $$work in train) sizes="$(TRAINED)";; *) sizes="$(ANSWERED)"; esac; \
	  case $$precision in fp32) ;; *) sizes="$$sizes jax-cublas:step"; esac; \
	  kept=results/vision/tf32/$$one/certificate.json; new=results/vision/bf16/$$one; \
	  [ $$precision != bf16 ] || [ ! -f $$kept ] || { mkdir -p $$new; cp -n $$kept $$new; }; \
	  $(PY) compare.py --recipe recipes/vision.toml --network $${one%_*} \
	    --work $$work --precision $$precision --out results/vision/$$precision/$$one \
	    --measure floor $$sizes $(ARGS) || { code=$$?; [ $$code -lt 128 ] || exit $$code; }; done; \
	  $(PY) -m bench.tools.networks results/vision/$$precision; done; exit $$code

scale: $(READY)  ## the lesson on several processes: proved, measured (10 min)
	$(PY) -m scale.measure --out results/scale
	$(PY) -m bench.tools.scale results/scale

test: $(READY)  ## checks of the pair, then those of the lab
	$(call NEEDS,pytest xdist)
	$(PY) test_mlp.py
	$(PY) -m pytest -q -p no:cacheprovider -n 2 --dist loadfile \
	  -m "not slow" tests

siege: $(READY)  ## inject every fault and write docs/reliability.md (2 h)
	$(call NEEDS,pytest xdist)
	$(PY) -m pytest -q -p no:cacheprovider -n 2 --dist loadfile \
	  --no-loadscope-reorder --siege tests

# For a name on it: make report ARGS='--author "A. Name"'
report: $(READY)  ## results/report.pdf, two pages (puts typst into .venv)
	@$(call HAVE,$(PY),typst) || { if [ "$(PY)" = .venv/bin/python ]; \
	  then $(PY) -m pip install -q typst; \
	  else echo "make report needs typst: $(PY) -m pip install typst"; \
	  exit 4; fi; }
	$(PY) compare.py $(ALL) --only report

book: $(READY)  ## docs/side_by_side*.html and docs/record.md, from the code
	$(call NEEDS,pygments)
	$(PY) -m bench.tools.book
	$(PY) -m bench.tools.fields

diff:  ## the two scripts in two columns, 162 wide
	@diff --side-by-side --width=162 --expand-tabs mlp_jax.py mlp_torch.py \
	  || true

clean:  ## remove results and caches; keeps data/ and .venv/
	rm -rf results results-quick .cache __pycache__ */__pycache__ \
	  .pytest_cache .ruff_cache .hypothesis

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/make \1\t\2/p' Makefile | expand -t 14

# The CPU build of torch is 0.2 GB; the one that pip finds for Linux brings
# several GB of CUDA libraries, which a machine without a GPU cannot use.
.venv/ready: requirements.txt requirements-cuda.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: make PYTHON=python3.12"; exit 4; }
	$(PYTHON) -m venv .venv
	@if nvidia-smi >/dev/null 2>&1; then list=requirements-cuda.txt; \
	  echo "NVIDIA GPU found: installing CUDA builds (about 4 GB)."; \
	else list=requirements.txt; \
	  if [ "$$(uname -s)" = Linux ]; then \
	  echo "Installing five packages into .venv. On Linux pip's own torch"; \
	  echo "brings several GB of CUDA libraries. To avoid them: stop now"; \
	  echo "(Ctrl-C), install the CPU build into an environment of your own"; \
	  echo "(pytorch.org, Get started, Compute platform: CPU) with the rest"; \
	  echo "of requirements.txt, and run: make all PYTHON=/that/bin/python"; \
	  fi; fi; \
	.venv/bin/python -m pip install -q -r $$list
	@touch $@

# Packages of libraries that are compared, beside this program's five: some 3 GB.
.venv-peers/ready: peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q -r peers/requirements.txt
	@touch $@
