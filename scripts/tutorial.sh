#!/usr/bin/env bash
# From a table of texts to a table of labels in five commands, without a bill: 5,000 descriptions of Debian's packages, and a
# server on this machine that answers as a middling LLM would (one in four first labels is wrong).
#
#   scripts/tutorial.sh [FOLDER]
#
# FOLDER (default: runs/tutorial) gets the corpus, the configuration, the run and the labels. Needs Debian's package lists
# (`apt-get update`) unless FOLDER/packages.csv is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

repository=$PWD
candist=${CANDIST:-$repository/target/release/candist}
server=${REPLAY_SERVER:-$repository/target/release/examples/replay_server}
folder=${1:-runs/tutorial}
port=${PORT:-8077}

[ -x "$candist" ] || cargo build --release --locked
[ -x "$server" ] || cargo build --release --locked --example replay_server
mkdir -p "$folder"
cd "$folder"
[ -e packages.csv ] || "$repository/scripts/make-package-corpus.py" packages.csv

"$server" --table packages.csv --text description --label section --port "$port" > server.log &
trap 'kill %1' EXIT
for _ in $(seq 100); do grep -q answering server.log && break; sleep 0.1; done

step() { printf '\n$ candist %s\n' "$*"; "$candist" "$@"; }

step init packages.csv --labels-from section --provider vllm --base-url "http://127.0.0.1:$port/v1" --model middling \
  --instruction "Identify the section of Debian that this package belongs to" --out packages.toml --force
step plan packages.toml --show 1
step run packages.toml --limit 50
step run packages.toml
step export packages.toml --labels labels.csv
head -3 labels.csv
