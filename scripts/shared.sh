#!/usr/bin/env bash
# Shared runs on this machine, end to end: a throw-away PostgreSQL, a server that answers from recordings, a trainer and WORKERS
# workers. Labels must be those of a run by itself; says how many answers a second were settled.
set -euo pipefail
cd "$(dirname "$0")/.."
workers="${WORKERS:-4}" latency="${LATENCY_MS:-0}" copies="${COPIES:-8}"
bin="${BIN:-$PWD/target/release}"
scratch="$(mktemp -d)"
pids=()
end() {
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2> /dev/null || true; done
  wait || true
  scripts/postgres.sh stop "$scratch/postgres" 2> /dev/null || true
  rm -rf "$scratch"
}
trap end EXIT
chmod 755 "$scratch"

url="$(scripts/postgres.sh start "$scratch/postgres")"
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
python3 - "$scratch" "$port" "$url" "$copies" << 'END'
import json, pathlib, sys
folder, port, url, copies = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
corpus = [json.loads(line) for line in open("examples/banking77/pool.jsonl")]
answers = [json.loads(line) for line in open("examples/banking77/teacher_gpt-4.jsonl")]
with open(folder / "pool.jsonl", "w") as pool, open(folder / "answers.jsonl", "w") as recording:
    for copy in range(copies):
        for row in corpus:
            pool.write(json.dumps({"id": f"{copy}-{row['id']}", "text": f"{row['text']} ({copy})"}) + "\n")
        for row in answers:
            recording.write(json.dumps({**row, "id": f"{copy}-{row['id']}", "teacher": "gpt-4"}) + "\n")
text = open("configs/quickstart.toml").read()
task = text[text.index("[task]"):text.index("[corpus]")]
small = "[student]\ndimension = 8\nbuckets = 4096\n[distill]\nfolds = 2\nmax_passes = 1\n"
teacher = f'[[teachers]]\nkind = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\nmodel = "gpt-4"\nmax_in_flight = 64\n'
for name, shared in (("alone", ""), ("team", f'shared = "{url}"\nwindow = 8192\n')):
    (folder / f"{name}.toml").write_text(
        f'{task}[corpus]\npath = "pool.jsonl"\n{teacher}{small}[run]\ndir = "{name}"\n{shared}')
END
"$bin/examples/replay_server" --corpus "$scratch/pool.jsonl" "$scratch/answers.jsonl" --port "$port" --latency-ms "$latency" \
  > "$scratch/server.log" &
pids+=($!)
for _ in $(seq 100); do (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && break; sleep 0.1; done

texts="$(wc -l < "$scratch/pool.jsonl")"
rate() { python3 -c "print(f'$1: {$texts / $2:,.0f} texts/s ({$2:.1f} s)')"; }
now() { date +%s.%N; }
began="$(now)"
"$bin/candist" -q run "$scratch/alone.toml"
rate "alone" "$(python3 -c "print($(now) - $began)")"
for _ in $(seq "$workers"); do
  "$bin/candist" -q work "$url" &
  pids+=($!)
done
began="$(now)"
"$bin/candist" -q run "$scratch/team.toml" --train-only
rate "$workers workers" "$(python3 -c "print($(now) - $began)")"
cmp "$scratch/alone/labels.jsonl" "$scratch/team/labels.jsonl"
echo "the same labels, byte for byte"
