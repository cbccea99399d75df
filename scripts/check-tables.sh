#!/usr/bin/env bash
# Opens tables of labels in what people use them with: pandas, polars, DuckDB, Hugging Face datasets, Label Studio's and Argilla's
# own SDKs. Takes packages from PyPI, once, into target/check-tables. CANDIST names a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

place=$PWD/target/check-tables
python=$place/venv/bin/python
packages="pandas==3.1.1 polars==2.1.0 duckdb==2.0.1 pyarrow==26.0.1 datasets==5.2.0 label-studio-sdk==2.1.2 argilla==2.8.0"

mkdir -p "$place"
if [ "$(cat "$place/packages" 2>/dev/null)" != "$packages" ]; then
  echo "check-tables: installing $packages"
  python3 -m venv "$place/venv"
  # shellcheck disable=SC2086
  if ! "$python" -m pip install --quiet --disable-pip-version-check $packages; then
    echo "check-tables: not checked. Python 3.11 or newer and PyPI (or a copy of it, PIP_INDEX_URL) are needed once for: $packages" >&2
    exit 1
  fi
  echo "$packages" >"$place/packages"
fi

candist=${CANDIST:-}
if [ -z "$candist" ]; then
  cargo build --locked --bins
  candist=$PWD/target/debug/candist
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" scripts/check-tables.py "$candist" "$work"
