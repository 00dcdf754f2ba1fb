#!/usr/bin/env bash
# Write to TAR a root file system that stands in for python:3.11-slim where no registry can be
# reached: Debian's Python 3.11, with pip in /usr/local as there, and no compiler.
# usage: make_stand_in_base.sh TAR
set -euo pipefail
tar=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip bookworm "$root" >&2
mv "$root"/usr/lib/python3/dist-packages/{pip,setuptools,wheel}* "$root"/usr/local/lib/python3.11/dist-packages/
mv "$root"/usr/bin/pip* "$root"/usr/local/bin/
rm -rf "$root"/usr/lib/python3.11/ensurepip "$root"/usr/share/python-wheels "$root"/var/cache/apt/* \
    "$root"/var/lib/apt/lists/*
tar -C "$root" -cf "$tar" .
