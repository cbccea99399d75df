#!/usr/bin/env bash
# Measures the teacher stage against the loopback server: throughput, a storm of refusals, and the limits per minute.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --bins --example replay_server
work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

# corpus ROWS: so many different texts; the server knows the part behind "Text: ".
corpus() {
  python3 - "$1" >"$work/corpus-$1.jsonl" <<'PYTHON'
import json, sys
rows = int(sys.argv[1])
pool = [json.loads(line)["text"] for line in open("examples/banking77/pool.jsonl")]
for number in range(rows):
    print(json.dumps({"id": f"r{number}", "text": f"Message {number}\nText: {pool[number % len(pool)]}"}))
PYTHON
}

# server PORT FLAGS...: starts one.
server() {
  local port=$1
  shift
  target/release/examples/replay_server --corpus examples/banking77/pool.jsonl examples/banking77/teacher_gpt-4.jsonl \
    --port "$port" "$@" >/dev/null &
  servers+=($!)
  until curl -fsS "http://127.0.0.1:$port/stats" >/dev/null 2>&1; do sleep 0.05; done
}

# config PORT ROWS TEACHER-SETTINGS [MORE]: prints a configuration.
config() {
  sed -n '/^\[task\]/,/^\]/p' configs/openai.toml
  printf '[corpus]\npath = "%s/corpus-%s.jsonl"\n[[teachers]]\nkind = "openai"\nmodel = "gpt-4"\n' "$work" "$2"
  printf 'base_url = "http://127.0.0.1:%s/v1"\n%b\n%b\n' "$1" "$3" "${4:-}"
}

# run NAME ROWS CONFIG: runs it; says how long asking took, and the processor time a row.
run() {
  local started
  printf '%s\n' "$3" >"$work/$1.toml"
  started=$(date +%s.%N)
  python3 - "$work" "$1" "$2" "$started" <<'PYTHON'
import os, resource, subprocess, sys
work, name, rows, started = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
run = f"{work}/run-{name}"
command = ["target/release/candist", "run", f"{work}/{name}.toml", "--run-dir", run, "--quiet"]
done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
if done.returncode:
    sys.exit(done.stderr)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
asking = os.stat(f"{run}/answers.jsonl").st_mtime - os.stat(f"{run}/lock").st_mtime
cpu = usage.ru_utime + usage.ru_stime
print(f"  {name}: {rows} rows, asking {asking:.2f} s = {rows / asking:.0f} rows/s; "
      f"processor {1e3 * cpu / rows:.3f} ms a row; {usage.ru_maxrss / 1024:.0f} MB")
PYTHON
}

stats() { # PORT KEY...
  curl -fsS "http://127.0.0.1:$1/stats" | python3 -c \
    'import json, sys; stats = json.load(sys.stdin); print("   ", {key: stats[key] for key in sys.argv[1:]})' "${@:2}"
}

corpus 20000
corpus 5000
corpus 1300

echo "Throughput (no passes at the end, so that the time is that of the stream with its student):"
no_passes='[distill]\nmax_passes = 0'
server 8171 --latency-ms 20
run 20ms-256 20000 "$(config 8171 20000 'max_in_flight = 256' "$no_passes")"
small='[student]\ndimension = 8\nbuckets = 16384\n[distill]\nfolds = 2\nblock = 512\nreplay = 0\nmax_passes = 0'
run 20ms-256-small 20000 "$(config 8171 20000 'max_in_flight = 256' "$small")"
run 20ms-64 20000 "$(config 8171 20000 'max_in_flight = 64' "$no_passes")"
server 8172 --latency-ms 1000
run 1s-1000 20000 "$(config 8172 20000 'max_in_flight = 1000' "$no_passes")"

echo "A storm: 8 s of 429 with Retry-After 8, 100 in flight (the same without it first):"
server 8173 --latency-ms 20
run calm 5000 "$(config 8173 5000 'max_in_flight = 100' "$no_passes")"
server 8174 --latency-ms 20 --storm-after 2000 --storm-seconds 8 --retry-after 8
run storm 5000 "$(config 8174 5000 'max_in_flight = 100' "$no_passes")"
stats 8174 requests refused

echo "Limits: 600 requests a minute, and 15,000 tokens a minute, for two minutes each, side by side:"
server 8175 --latency-ms 20
server 8176 --latency-ms 20
run rpm-600 1300 "$(config 8175 1300 'requests_per_minute = 600')" &
run tpm-15000 1300 "$(config 8176 1300 'tokens_per_minute = 15000\nmax_tokens = 64')"
wait %run 2>/dev/null || wait -n 2>/dev/null || true
stats 8175 requests fullest_minute_requests
stats 8176 requests fullest_minute_tokens prompt_tokens completion_tokens
