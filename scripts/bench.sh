#!/usr/bin/env bash
# Measures: the stages one by one, the quickstart as a whole, and the teacher stage against a loopback server.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --bins --example replay_server
cargo bench --locked --bench stages

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
candist=$PWD/target/release/candist

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
