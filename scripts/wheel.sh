#!/usr/bin/env bash
# Builds the Python wheel: the module of python/, the program and its libraries, into dist/.
#
#   scripts/wheel.sh [--program FILE] [--out DIR]
set -euo pipefail
cd "$(dirname "$0")/.."

program=target/release/candist out=dist
while [ $# -gt 0 ]; do
  case $1 in
    --program) program=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) printf 'wheel: unknown argument %s\n' "$1" >&2; exit 2 ;;
  esac
done

staged=target/wheel
rm -rf "$staged"
scripts/dist.sh --program "$program" --out "$staged" --folder-only
folder=$(echo "$staged"/candist-*/)
# manylinux says which C library a wheel needs: the newest version that a file in it asks for.
glibc=$(sed -n 's/^GLIBC_2\.\([0-9]*\).*/\1/p' "$folder/NEEDS.txt")
tools=$PWD/target/wheel-tools
[ -x "$tools/bin/hatchling" ] || { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet hatchling==1.27.0; }
mkdir -p "$out"
rm -f "$out"/candist-*.whl
CANDIST_STAGED=$(realpath "$folder") CANDIST_PLATFORM=manylinux_2_${glibc}_$(uname -m)
export CANDIST_STAGED CANDIST_PLATFORM
to=$(realpath "$out") log=$(realpath "$staged")/hatchling.txt
(cd python && "$tools/bin/python" -m hatchling build -d "$to" -t wheel >"$log" 2>&1) || { cat "$log" >&2; exit 1; }
printf 'wheel: %s\n' "$(du -h --apparent-size "$out"/candist-*.whl)" >&2
