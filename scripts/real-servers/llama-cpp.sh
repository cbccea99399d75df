#!/usr/bin/env bash
# Runs a llama.cpp server with "tiny", a model with random weights that is made on the spot: its answers are noise.
#
# What for: to see that candist gets along with the server itself (formats it knows and refuses, log-probabilities).
# Usage: scripts/real-servers/llama-cpp.sh [--llama-server] [PORT]      (8092 when left out; it wants no key)
#   Without the option: the server of llama-cpp-python, which answers HTTP 500 to response_format json_schema.
#   --llama-server: llama.cpp's own server, built from the same sources; it keeps to a json_schema.
#
# The first call builds it (about ten minutes, wants a C++ compiler) into ~/.cache/candist/real-servers.
# It runs until it is stopped (Ctrl-C or kill).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

version=0.3.36
gguf=0.19.0
native=
[ "${1:-}" != --llama-server ] || { native=1; shift; }
port=${1:-8092}
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-2}

venv "gguf-$gguf" "gguf==$gguf"
model=$cache/tiny.gguf
run "$cache/gguf-$gguf/bin/python" "$here/tiny_model.py" "$model.$$"
mv "$model.$$" "$model"

if [ -z "$native" ]; then
  # Without what images need.
  CMAKE_ARGS="-DLLAVA_BUILD=OFF" venv "llama-cpp-python-$version" "llama-cpp-python[server]==$version"
  serve "$port" none tiny "$cache/llama-cpp-python-$version/bin/python" -m llama_cpp.server \
    --model "$model" --model_alias tiny --host 127.0.0.1 --port "$port" \
    --n_ctx 16384 --n_threads 1 --n_threads_batch 1 --logits_all true --verbose false
  exit
fi

tools=$cache/cmake-4.1.2
server=$cache/llama-server-$version
if [ ! -x "$server" ]; then
  venv cmake-4.1.2 cmake==4.1.2 ninja==1.13.0
  work=$cache/build-$version
  say "building $server"
  rm -rf "$work"
  mkdir -p "$work"
  run "$tools/bin/pip" download --quiet --no-deps --no-binary llama-cpp-python -d "$work" "llama-cpp-python==$version"
  tar -xzf "$work"/*.tar.gz -C "$work" --strip-components 1
  run "$tools/bin/cmake" -S "$work/vendor/llama.cpp" -B "$work/out" -G Ninja \
    -DCMAKE_MAKE_PROGRAM="$tools/bin/ninja" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1 \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
  run "$tools/bin/cmake" --build "$work/out" --target llama-server
  mv "$work/out/bin/llama-server" "$server"
  rm -rf "$work"
fi
# Four requests at a time, 8,192 tokens each.
serve "$port" none tiny "$server" --model "$model" --alias tiny --host 127.0.0.1 --port "$port" \
  --ctx-size 32768 --parallel 4 --threads 1 --jinja
