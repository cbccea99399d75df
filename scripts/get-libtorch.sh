#!/usr/bin/env bash
# Finds or gets libtorch 2.11.0 (CPU) and links .libtorch to it. Does nothing when that was done before.
#
# Looked for in this order: $LIBTORCH, the cache, the publisher's CPU archive, PyPI's wheels (hashes pinned).
# LIBTORCH_SOURCE=archive or wheels takes just that one. About 0.6 GB to download, 0.5 GB kept in ~/.cache/candist.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2.11.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/candist
kept=$cache/libtorch-$version-cpu
link=.libtorch

say() { printf 'libtorch: %s\n' "$*" >&2; }
fail() { say "$1"; exit 1; }

# A folder that tch can be built against.
is_libtorch() {
  [ -e "$1/lib/libtorch_cpu.so" ] && [ -e "$1/lib/libc10.so" ] &&
    [ -e "$1/include/torch/csrc/api/include/torch/torch.h" ] &&
    case "$(cat "$1/build-version" 2>/dev/null)" in "$version" | "$version"+*) ;; *) false ;; esac
}

use() {
  # An unchanged link keeps its time, so that nothing is built again.
  [ "$(readlink "$link" 2>/dev/null || true)" = "$1" ] || ln -sfn "$1" "$link"
}

if [ -n "${LIBTORCH:-}" ]; then
  is_libtorch "$LIBTORCH" || fail "\$LIBTORCH ($LIBTORCH) is not libtorch $version: unset it, or point it to one"
  use "$(realpath "$LIBTORCH")"
  exit 0
fi
if is_libtorch "$link" 2>/dev/null; then exit 0; fi
if is_libtorch "$kept"; then use "$kept"; say "using $kept"; exit 0; fi

[ "$(uname -sm)" = "Linux x86_64" ] || fail "no ready build for $(uname -sm): set LIBTORCH to a libtorch $version"
command -v python3 >/dev/null || fail "python3 is needed to unpack it: install python3 (Debian: apt-get install python3)"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # two set-ups at once: the second waits, then finds it done
if is_libtorch "$kept"; then use "$kept"; exit 0; fi
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
new=$work/libtorch

# extract ARCHIVE FOLDER PREFIX...: the members that begin with one of the prefixes.
extract() {
  python3 - "$@" <<'PYTHON'
import sys, zipfile
archive, folder, *prefixes = sys.argv[1:]
with zipfile.ZipFile(archive) as members:
    for name in members.namelist():
        if name.startswith(tuple(prefixes)):
            members.extract(name, folder)
PYTHON
}

from_archive() {
  local url=https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-$version%2Bcpu.zip
  command -v curl >/dev/null || { say "no curl: leaving the publisher's archive out"; return 1; }
  curl -fsSIL --connect-timeout 5 --max-time 15 -o /dev/null "$url" 2>/dev/null ||
    { say "the publisher's archive is not reachable"; return 1; }
  say "downloading the publisher's archive"
  curl -fL --retry 3 --connect-timeout 10 -o "$work/archive.zip" "$url" >&2 || return 1
  extract "$work/archive.zip" "$work" libtorch/
  rm "$work/archive.zip"
}

# The wheel holds the CUDA build. Its CPU library needs two small NVIDIA libraries besides itself, but no driver.
from_wheels() {
  python3 -m pip --version >/dev/null 2>&1 ||
    { say "pip is needed for PyPI's wheels: install it (Debian: apt-get install python3-pip)"; return 1; }
  say "downloading wheels from PyPI (0.6 GB)"
  cat >"$work/wheels.txt" <<WHEELS
torch==$version --hash=sha256:0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756
nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
WHEELS
  # Which wheel is pinned by its Python version; the libraries in it do not depend on one.
  python3 -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --no-cache-dir \
    --only-binary=:all: --implementation cp --python-version 3.12 \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
    --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
    --dest "$work/wheels" --requirement "$work/wheels.txt" >&2 || return 1
  say "unpacking"
  extract "$work"/wheels/torch-*.whl "$work/x" torch/include/ torch/lib/libtorch_cpu.so torch/lib/libc10.so \
    torch/lib/libgomp "torch-$version.dist-info/"
  extract "$work"/wheels/nvidia_cuda_cupti-*.whl "$work/x" nvidia/cu13/lib/libcupti.so nvidia_cuda_cupti-13.0.85.dist-info/
  extract "$work"/wheels/nvidia_cuda_runtime-*.whl "$work/x" nvidia/cu13/lib/libcudart.so nvidia_cuda_runtime-13.0.96.dist-info/
  mkdir -p "$new/lib" "$new/licenses"
  mv "$work"/x/torch/lib/*.so* "$work"/x/nvidia/cu13/lib/*.so* "$new/lib/"
  mv "$work/x/torch/include" "$new/include"
  mv "$work"/x/*.dist-info "$new/licenses/"
  # The wheel's own libtorch.so needs the CUDA library; this one is read by the linker alone.
  printf '/* GNU ld script */\nINPUT(libtorch_cpu.so libc10.so)\n' >"$new/lib/libtorch.so"
  echo "$version+cpu" >"$new/build-version"
}

case ${LIBTORCH_SOURCE:-any} in
  archive) from_archive ;;
  wheels) from_wheels ;;
  *) from_archive || from_wheels ;;
esac || fail "libtorch $version could not be had: get it by hand and set LIBTORCH to its folder"
is_libtorch "$new" || fail "what was unpacked is no libtorch $version"
rm -rf "$kept"
mv "$new" "$kept"
use "$kept"
say "ready in $kept ($(du -sh "$kept" | cut -f1))"
