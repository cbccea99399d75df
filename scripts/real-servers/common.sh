# Shared by the scripts in this folder; not to be run by itself.
#
# Whatever takes time runs as a job with a process group of its own (set -m), so that all of it ends with the script.
set -m
cache=${XDG_CACHE_HOME:-$HOME/.cache}/candist/real-servers
job=

say() { printf 'real server: %s\n' "$*" >&2; }
fail() { say "$1"; exit 1; }

stop() {
  [ -n "$job" ] && kill -- "-$job" 2>/dev/null || return 0
  for _ in {1..50}; do
    kill -0 -- "-$job" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 -- "-$job" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# run COMMAND...: runs it to its end, politely.
run() {
  nice -n 10 "$@" </dev/null >&2 &
  job=$!
  wait "$job"
  job=
}

# venv NAME REQUIREMENT...: a Python environment, $cache/NAME. Does nothing when that was done before.
venv() {
  local dir=$cache/$1
  shift
  [ ! -e "$dir/.complete" ] || return 0
  say "installing $* into $dir"
  mkdir -p "$cache"
  run python3 -m venv --clear "$dir"
  run "$dir/bin/pip" install --quiet "$@"
  touch "$dir/.complete"
}

# serve PORT KEY MODEL COMMAND...: starts the server, prints a line when it answers, and lasts as long as it does.
serve() {
  local port=$1 key=$2 model=$3 url=http://127.0.0.1:$1/v1
  shift 3
  # An older server on the port would be taken for this one.
  ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || fail "port $port is taken: give another one"
  "$@" </dev/null >&2 &
  job=$!
  until curl -fs --noproxy '*' -m 5 -o /dev/null -H "Authorization: Bearer $key" "$url/models"; do
    kill -0 "$job" 2>/dev/null || fail "the server ended before it answered"
    sleep 0.2
  done
  printf 'ready: base_url %s, model %s, key %s\n' "$url" "$model" "$key"
  wait "$job"
}
