#!/usr/bin/env bash
# Annotates the example corpus with recorded teachers and shows how good the labels are.
set -euo pipefail
cd "$(dirname "$0")/.."

candist=target/release/candist
run=runs/quickstart
"$candist" run configs/quickstart.toml
echo
echo "How good are the labels? (gold labels are read by this table alone)"
"$candist" eval "$run" --gold examples/banking77/pool_gold.jsonl --held-out examples/banking77/heldout_gold.jsonl
cat <<TEXT

Two things to try next:
  $candist tail $run --final | head -3     # the labels: one JSON line a text
  $candist run configs/openai.toml             # the same with a real server: set base_url and model in it first
TEXT
