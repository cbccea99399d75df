#!/usr/bin/env bash
# Checks that everything needed to build is there and says how to get what is not; then gets libtorch.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=0
need() { # COMMAND WHAT-TO-DO
  command -v "$1" >/dev/null || { printf 'set-up: %s is missing: %s\n' "$1" "$2" >&2; missing=1; }
}
need cargo "install Rust 1.89 or newer from https://rustup.rs"
need c++ "install a C++ compiler (Debian: apt-get install g++)"
need make "install make (Debian: apt-get install make)"
[ "$missing" = 0 ] || exit 1
exec scripts/get-libtorch.sh
