#!/usr/bin/env bash
# Labels 20,000 texts with Ray and with Spark (of JSON Lines, and of Parquet), a worker of each killed in the middle, and compares with one
# process (examples/engines/). Packages come from PyPI, into target/check-engines; Spark needs Java (Debian: default-jre-headless).
#
# The program is $CANDIST_PROGRAM, or the newer one of target/release and target/debug.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'check-engines: %s\n' "$*" >&2; }
program=${CANDIST_PROGRAM:-$({ ls -t target/release/candist target/debug/candist 2>/dev/null || true; } | head -n 1)}
[ -x "$program" ] || { say "no program is built: make build"; exit 1; }
command -v java > /dev/null || { say "Spark needs Java: apt-get install default-jre-headless"; exit 1; }

work=$PWD/target/check-engines
mkdir -p "$work"
if [ ! -x "$work/venv/bin/spark-submit" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet 'ray[data]' pyspark pyarrow pandas ||
    { say "ray and pyspark could not be had from PyPI: this check needs the network once"; exit 1; }
fi

# Of an earlier check, perhaps by another version.
rm -rf "$work/run" "$work/student"
export CANDIST_PROGRAM; CANDIST_PROGRAM=$(realpath "$program")
export PYTHONPATH=$PWD/python/src:$PWD/examples/engines
(cd configs && "$CANDIST_PROGRAM" run quickstart.toml --run-dir "$work/run" --quiet &&
  "$CANDIST_PROGRAM" export "$work/run" --student "$work/student" --quiet)
"$work/venv/bin/python" - "$work/texts.jsonl" <<'PYTHON'
import itertools, json, sys
pool = [json.loads(line)["text"] for line in open("examples/banking77/pool.jsonl")]
with open(sys.argv[1], "w") as out:
    for number, text in zip(range(20_000), itertools.cycle(pool)):
        out.write(json.dumps({"id": f"{number:05}", "text": f"{text} {number}"}) + "\n")

import pyarrow.json, pyarrow.parquet
pyarrow.parquet.write_table(pyarrow.json.read_json(sys.argv[1]), sys.argv[1].replace("jsonl", "parquet"), row_group_size=2000)
PYTHON
for what in "ray texts.jsonl" "spark texts.jsonl" "spark texts.parquet"; do
  read -r engine texts <<< "$what"
  "$work/venv/bin/python" examples/engines/check.py "$engine" "$work/student" "$work/$texts"
done
