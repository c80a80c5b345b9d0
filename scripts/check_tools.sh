#!/bin/sh
# Name every tool that set-up needs and this machine lacks, each with the package that brings it.
# usage: check_tools.sh PYTHON
python=$1
missing=

lack() {
    missing="$missing
  $1: $2"
}

have() {
    command -v "$1" > /dev/null 2>&1
}

if ! have "$python"; then
    lack "$python (3.10 or newer)" "python3"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    lack "Python 3.10 or newer ($python is $("$python" -V 2>&1 | cut -d' ' -f2))" \
        "python3 of a newer release; choose another with make PYTHON=python3.12"
else
    "$python" -c 'import ensurepip, venv' 2> /dev/null || lack "Python's venv" "python3-venv"
    "$python" -c 'import os, sysconfig as s, sys
sys.exit(not os.path.exists(os.path.join(s.get_path("include"), "Python.h")))' ||
        lack "Python's headers (Python.h)" "python3-dev"
fi
have "${CXX:-c++}" || have g++ || have clang++ || lack "a C++ compiler" "g++"
have "${CC:-cc}" || have gcc || have clang || lack "a C compiler" "gcc"
have cmake || lack "cmake" "cmake"
have make || lack "make" "make"
have git || lack "git" "git"

if [ -n "$missing" ]; then
    echo "Set-up needs what this machine lacks (tool: package of Debian and Ubuntu):$missing" >&2
    exit 1
fi
