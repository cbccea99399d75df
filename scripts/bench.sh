#!/usr/bin/env bash
# Measures: the stages one by one, the quickstart as a whole, and the flow against a loopback server that answers in 20 ms.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --bins --example replay_server
cargo bench --locked --bench stages

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
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

target/release/examples/replay_server --corpus examples/banking77/pool.jsonl examples/banking77/teacher_gpt-4.jsonl \
  --latency-ms 20 --port 8078 >/dev/null &
server=$!
until curl -fsS http://127.0.0.1:8078/stats >/dev/null 2>&1; do sleep 0.1; done
for in_flight in 64 256; do
  sed "s#\"../examples#\"$PWD/examples#; s#8077#8078#; s#max_in_flight = 64#max_in_flight = $in_flight#" configs/openai.toml >"$work/openai.toml"
  timed "server at 20 ms, $in_flight in flight, 3,080 texts" "$candist" run "$work/openai.toml" --run-dir "$work/run-$in_flight"
  seconds=$(python3 - "$work/run-$in_flight" <<'PYTHON'
import os, sys
run = sys.argv[1]
print(f"{os.stat(run + '/answers.jsonl').st_mtime - os.stat(run + '/lock').st_mtime:.2f}")
PYTHON
  )
  echo "  of which asking: about $seconds s (from taking the lock to the last answer)"
done
