#!/bin/sh
# Fetches what the synthetic source of training is made from, out of the Debian and npm registries, into FOLDER:
#   scripts/fetch_training_material.sh FOLDER
# FOLDER/cutouts   pictures with alpha, by kind: photographs of things (Debian tuxpaint-stamps-default, GPL-2) and
#                  drawn ones (npm @lobehub/fluent-emoji-3d, MIT; the pictures are Microsoft's Fluent Emoji, MIT)
# FOLDER/models    3-D furniture (Debian sweethome3d-furniture: CC0 and CC BY 3.0, each model's file says which)
# Backgrounds are yours to give: photographs in FOLDER/backgrounds, or the stills of a COCO file (`stills`).
# Nothing is installed. Each package's licence is kept in FOLDER/licences. What is there already is kept.
set -eu

[ $# -eq 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
for tool in apt-get dpkg-deb npm tar python3; do
    command -v "$tool" >/dev/null || { echo "$0: '$tool' is missing (Debian or Ubuntu with npm is needed)" >&2; exit 1; }
done
mkdir -p "$1/licences" "$1/backgrounds"
folder=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work"

debian() { # PACKAGE: unpacked into $work/PACKAGE
    mkdir "$1"
    chmod 755 "$work" "$1"
    (cd "$1" && apt-get download -qq "$1" && dpkg-deb -x ./*.deb . && rm ./*.deb)
    cp "$1/usr/share/doc/$1/copyright" "$folder/licences/$1"
}

if [ ! -e "$folder/cutouts/animals" ]; then
    debian tuxpaint-stamps-default
    mkdir -p "$folder/cutouts"
    # Letters, numbers, coins and flags would teach nothing about things.
    for kind in animals clothes food hobbies household military plants space town vehicles; do
        mv "tuxpaint-stamps-default/usr/share/tuxpaint/stamps/$kind" "$folder/cutouts/" 2>/dev/null || true
    done
    [ -e "$folder/cutouts/animals" ] || { echo "$0: tuxpaint-stamps-default has no animals any more" >&2; exit 1; }
fi
if [ ! -e "$folder/cutouts/emoji" ]; then
    npm pack --silent @lobehub/fluent-emoji-3d >/dev/null
    tar xzf ./*.tgz
    cp package/package.json "$folder/licences/fluent-emoji-3d.json"
    mkdir -p "$folder/cutouts"
    mv package/assets "$folder/cutouts/emoji"
fi
if [ ! -e "$folder/models/furniture" ]; then
    debian sweethome3d-furniture
    mkdir "$work/furniture"
    for library in sweethome3d-furniture/usr/share/sweethome3d/furniture/*.sh3f; do
        python3 -m zipfile -e "$library" "furniture/$(basename "$library" .sh3f)"
    done
    mkdir -p "$folder/models"
    mv furniture "$folder/models/"
fi
count() { find "$folder/$1" -name "$2" | wc -l; }
echo "$folder: $(count cutouts '*.png') stamps, $(count cutouts '*.webp') emoji, $(count models '*.obj') models"
