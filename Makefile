# make setup | test | demo | lint | clean
PYTHON ?= python3
# ROS_WHEELS=kilted takes ROS 2 from Kilted's wheels, in a virtual environment of its own.
ROS_WHEELS ?=
VENV := .venv$(if $(filter-out jazzy,$(ROS_WHEELS)),-$(ROS_WHEELS))

.PHONY: setup
setup:
	@scripts/check_tools.sh $(PYTHON)
	@$(PYTHON) scripts/set_up.py --wheels "$(ROS_WHEELS)"
