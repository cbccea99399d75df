#!/usr/bin/env bash
# The encoder's speed beside Python's, in turns on the same machine: scripts/bench-encoder.sh FOLDER [DEVICE]
# FOLDER is a Hugging Face folder; PYTHON (default python3) needs torch and transformers.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?give a Hugging Face folder with config.json, model.safetensors and tokenizer.json}
export CANDIST_ENCODER=$folder CANDIST_DEVICE=${2:-cpu}
python=${PYTHON:-python3}

if [ "$CANDIST_DEVICE" != cpu ] && ! nvidia-smi >/dev/null 2>&1; then
  echo "not measured: there is no NVIDIA GPU here"
  exit 0
fi
cargo bench --locked --bench encoder --no-run 2>/dev/null
for length in 0 32 128; do
  export CANDIST_LENGTH=$length CANDIST_PASSES=$((length == 128 ? 1 : 2))
  echo "length $([ "$length" = 0 ] && echo "as it is" || echo "$length"), texts a second, on $CANDIST_DEVICE:"
  for turn in 1 2; do
    echo "  candist $(cargo bench --quiet --locked --bench encoder 2>/dev/null)"
    if "$python" -c 'import torch, transformers' 2>/dev/null; then
      echo "  Python  $("$python" scripts/bench-encoder.py 2>/dev/null)"
    elif [ "$turn" = 1 ]; then
      echo "  Python  not measured: $python has no torch and transformers"
    fi
  done
done
