#!/usr/bin/env bash
# The encoder's speed beside Python's, in turns on the same machine: scripts/bench-encoder.sh FOLDER [DEVICE]
# FOLDER is a Hugging Face folder, for the published figures on a GPU one of RoBERTa-base's size; PYTHON (default python3) needs
# torch and transformers. On a GPU also the difference of logits from the CPU's, and the memory that 2,000 steps take.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?give a Hugging Face folder with config.json, model.safetensors and tokenizer.json}
export CANDIST_ENCODER=$folder CANDIST_DEVICE=${2:-cpu}
python=${PYTHON:-python3}

if [ "$CANDIST_DEVICE" != cpu ] && ! nvidia-smi >/dev/null 2>&1; then
  echo "not measured: there is no NVIDIA GPU here (texts a second at lengths 32 and 128 in fp32 and bf16, difference from the"
  echo "CPU, memory over 2,000 steps)"
  exit 0
fi
cargo bench --locked --bench encoder --no-run 2>/dev/null
for precision in fp32 bf16; do
  for length in 0 32 128; do
    export CANDIST_LENGTH=$length CANDIST_PRECISION=$precision CANDIST_PASSES=$((length == 128 ? 1 : 2))
    echo "$precision, length $([ "$length" = 0 ] && echo "as it is" || echo "$length"), texts a second, on $CANDIST_DEVICE:"
    for turn in 1 2; do
      echo "  candist $(cargo bench --quiet --locked --bench encoder 2>/dev/null)"
      if "$python" -c 'import torch, transformers' 2>/dev/null; then
        echo "  Python  $("$python" scripts/bench-encoder.py 2>/dev/null)"
      elif [ "$turn" = 1 ]; then
        echo "  Python  not measured: $python has no torch and transformers"
      fi
    done
  done
done
if [ "$CANDIST_DEVICE" != cpu ]; then
  echo "2,000 steps: $(CANDIST_STEPS=2000 CANDIST_LENGTH=32 CANDIST_PRECISION=fp32 cargo bench --quiet --locked --bench encoder)"
fi
