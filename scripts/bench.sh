#!/usr/bin/env bash
# Measures: what machine, libraries and fastText give by themselves, the stages one by one, asking without a student, reading, opening, tables of labels, the page, a student over HTTP, following labels, the quickstart as a whole, and the teacher stage against a loopback server; with
# CANDIST_ENCODER set to a Hugging Face folder also the encoder student, beside Python's transformers where that is there.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --bins --example replay_server
cargo bench --locked --bench limits --bench stages --bench asking --bench reading --bench opening --bench export --bench page --bench service --bench tail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
candist=$PWD/target/release/candist

if python3 -c 'import fasttext' 2> "$work/said"; then
  python3 scripts/bench-fasttext.py
else
  echo "fastText: not measured, python3 has no fasttext (pip install fasttext-wheel 'numpy<2')"
fi

# timed NAME COMMAND...: wall and CPU seconds of a command.
timed() {
  local name=$1 TIMEFORMAT='%R s wall, %U s user, %S s system'
  shift
  printf '%s: ' "$name"
  time "$@" 2>"$work/said" || { cat "$work/said"; exit 1; }
}

echo
timed "quickstart, 3,080 texts, 3 recordings" "$candist" run configs/quickstart.toml --run-dir "$work/quickstart"

echo
scripts/bench-teacher.sh

echo
if [ -n "${CANDIST_ENCODER:-}" ]; then
  scripts/bench-encoder.sh "$CANDIST_ENCODER"
else
  echo "encoder: not measured, CANDIST_ENCODER is not set to a Hugging Face folder"
fi
