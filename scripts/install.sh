#!/usr/bin/env bash
# Puts both programs, the libraries it needs, completions and man pages under a prefix, or takes them away.
#
#   scripts/install.sh install|uninstall
#
# PREFIX (default /usr/local) is where it will be used, DESTDIR (default nothing) what goes before that, for packages. The
# program is target/release/candist, which `make install` builds, unless PROGRAM names another; candist-engine is beside it.
#
# libtorch is copied to PREFIX/lib/candist, and found there first: the installed program does not need the folder that it
# was built with.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}$prefix
program=${PROGRAM:-target/release/candist}
libraries=$root/lib/candist
bash_completion=$root/share/bash-completion/completions/candist
zsh_completion=$root/share/zsh/site-functions/_candist
fish_completion=$root/share/fish/vendor_completions.d/candist.fish
manual=$root/share/man/man1

say() { printf 'install: %s\n' "$*" >&2; }
fail() { say "$1"; exit 1; }
# The file names are known, so nothing of anybody else is taken away.
clear_manual() { rm -f "$manual"/candist.1 "$manual"/candist-*.1; }

case ${1:-} in
  install)
    for one in "$program" "$program-engine"; do [ -x "$one" ] || fail "$one is not there: make build"; done
    # Into new files, moved into place: a program that runs just now keeps its own.
    install -d "$root/bin" "$libraries"
    # What every Linux has is not copied, and what the build found is.
    of_the_system='^(linux-vdso|ld-linux.*|libc|libm|libdl|libpthread|librt|libutil|libgcc_s|libstdc\+\+)\.so'
    needed=$(env -u LD_LIBRARY_PATH -u LD_PRELOAD ldd "$program-engine")
    ! grep 'not found' <<<"$needed" >&2 || fail "$program-engine does not find all its libraries"
    sed -n 's/^\s*\(\S\+\) => \(\/\S*\) .*/\1 \2/p' <<<"$needed" | while read -r name path; do
      [[ $name =~ $of_the_system ]] && continue
      install -m 644 "$path" "$libraries/.$name.new"
      mv -f "$libraries/.$name.new" "$libraries/$name"
    done
    for name in candist-engine candist; do
      install -m 755 "${program%candist}$name" "$root/bin/.$name.new"
      mv -f "$root/bin/.$name.new" "$root/bin/$name"
    done
    installed=$root/bin/candist
    found=$(env -u LD_LIBRARY_PATH -u LD_PRELOAD ldd "$installed-engine" | sed -n 's/^\s*libtorch_cpu.so => \(\S*\) .*/\1/p')
    [ "$(realpath "$found")" = "$(realpath "$libraries/libtorch_cpu.so")" ] ||
      fail "the installed program takes libtorch from $found, not from $libraries"
    install -d "$(dirname "$bash_completion")" "$(dirname "$zsh_completion")" "$(dirname "$fish_completion")" "$manual"
    "$installed" completions bash >"$bash_completion"
    "$installed" completions zsh >"$zsh_completion"
    "$installed" completions fish >"$fish_completion"
    clear_manual
    "$installed" man "$manual"
    say "$("$installed" --version) is in $root: bin/candist, bin/candist-engine, lib/candist, completions, man pages"
    ;;
  uninstall)
    rm -f "$root/bin/candist" "$root/bin/candist-engine" "$bash_completion" "$zsh_completion" "$fish_completion"
    rm -rf "$libraries"
    clear_manual
    say "candist is gone from $root"
    ;;
  *) fail "install or uninstall?" ;;
esac
