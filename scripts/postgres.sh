#!/usr/bin/env bash
# A throw-away PostgreSQL for trying out shared runs: postgres.sh start FOLDER prints its address, postgres.sh stop FOLDER ends it.
# Loopback only, a port that is free, everything below FOLDER; the newest PostgreSQL that is here, or the programs in the folder
# CANDIST_POSTGRES. It runs as nobody where this is called by root, as it wants.
set -euo pipefail
action="${1:?start or stop}" folder="$(realpath -m "${2:?a folder}")"

bin() {
  if [ -n "${CANDIST_POSTGRES:-}" ]; then echo "$CANDIST_POSTGRES"; return; fi
  local newest
  newest="$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin 2> /dev/null | sort -V | tail -1)"
  if [ -n "$newest" ] && [ -x "$newest/initdb" ]; then echo "$newest"; return; fi
  if command -v initdb > /dev/null && command -v postgres > /dev/null; then dirname "$(command -v initdb)"; return; fi
  echo "no PostgreSQL here: install Debian's postgresql, or put initdb and postgres on PATH" >&2
  exit 1
}
bin="$(bin)"
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }

case "$action" in
start)
  mkdir -p "$folder/data"
  if [ "$(id -u)" = 0 ]; then chown nobody:nogroup "$folder" "$folder/data"; chmod 755 "$folder"; fi
  chmod 700 "$folder/data"
  as "$bin/initdb" -D "$folder/data" -U candist -A trust -E UTF8 --no-sync > "$folder/initdb.log"
  port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
  as "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/data/log" \
    -o "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -p $port" start > /dev/null
  echo "postgres://candist@127.0.0.1:$port/postgres"
  ;;
stop) as "$bin/pg_ctl" -D "$folder/data" -m fast stop > /dev/null ;;
*) echo "start or stop, not $action" >&2; exit 2 ;;
esac
