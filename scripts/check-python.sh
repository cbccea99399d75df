#!/usr/bin/env bash
# Builds the wheel from a program that is built already, installs it into a clean environment, checks its types and tests it. Then
# runs the blocks of README and book, those in Python too: with the packages of scripts/check-tables.sh, which comes first.
#
#   scripts/check-python.sh [PYTEST ARGUMENTS]
#
# The program is $CANDIST_PROGRAM, or the newer one of target/release and target/debug. Packages come from PyPI, with the versions of
# python/requirements-test.txt, into target/check-python.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'check-python: %s\n' "$*" >&2; }
program=${CANDIST_PROGRAM:-}
unset CANDIST_PROGRAM
[ -n "$program" ] || program=$({ ls -t target/release/candist target/debug/candist 2>/dev/null || true; } | head -n 1)
[ -x "$program" ] || { say "no program is built: make build"; exit 1; }
say "with $program"

work=$PWD/target/check-python
rm -rf "$work/venv"
mkdir -p "$work"
scripts/wheel.sh --program "$program" --out "$work/dist"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --requirement python/requirements-test.txt ||
  { say "the packages of python/requirements-test.txt could not be had from PyPI: this check needs the network once"; exit 1; }
"$work/venv/bin/pip" install --quiet --no-index "$work"/dist/candist-*.whl
(cd python && "$work/venv/bin/mypy" --cache-dir "$work/mypy" src && "$work/venv/bin/mypy" --cache-dir "$work/mypy" --python-version 3.11 tests)
# From elsewhere, so that what is imported is what was installed.
(cd "$work" && venv/bin/pytest --rootdir "$OLDPWD/python" -p no:cacheprovider "$OLDPWD/python/tests" "$@")

tables=$PWD/target/check-tables/venv/bin/python
[ -x "$tables" ] || { say "the blocks of the book need scripts/check-tables.sh first: make check-python"; exit 1; }
"$tables" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall "$work"/dist/candist-*.whl
CANDIST_PYTHON=$tables cargo test --locked --test it -- docs::
