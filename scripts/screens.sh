#!/usr/bin/env bash
# Takes the screens of docs/src/reference/terminal.md anew: real runs, in tmux, against the replay server.
#
#   scripts/screens.sh [FOLDER]
#
# Each screen goes to FOLDER/NAME.txt (default: a temporary folder), and into the block after `<!-- screen: NAME -->`. What is
# wrong with one shows by looking at it. PROGRAM and REPLAY name other builds than the release ones.
set -euo pipefail
cd "$(dirname "$0")/.."

program=$(realpath "${PROGRAM:-target/release/candist}")
replay=$(realpath "${REPLAY:-target/release/examples/replay_server}")
out=${1:-$(mktemp -d)}
work=$(mktemp -d)
port=8177
tmux() { command tmux -u -L "candist-screens-$$" -f /dev/null "$@"; }
export LANG=C.UTF-8 TERM=xterm

servers=()
end() {
  tmux kill-server 2>/dev/null || true
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
  rm -rf "$work"
}
trap end EXIT
mkdir -p "$out"

# The example configuration, of this server, with prices and a cap.
corpus=$(realpath examples/banking77/pool.jsonl)
sed -e "s|http://127.0.0.1:8077|http://127.0.0.1:$port|" -e "s|\"../examples/banking77/pool.jsonl\"|\"$corpus\"|" \
  -e 's|^# price = .*|price = { input = 0.15, output = 0.60 }|' -e 's|^# max_cost = .*|max_cost = 5.00|' \
  -e 's|"../runs/openai"|"run"|' configs/openai.toml >"$work/support.toml"

serve() { # ARGUMENTS: a server that answers so
  "$replay" examples/banking77/teacher_gpt-4.jsonl --corpus "$corpus" --port "$port" "$@" >/dev/null &
  servers+=($!)
}
begin() { # COLUMNS ROWS COMMAND: in a terminal of that size
  tmux kill-server 2>/dev/null || true
  tmux new-session -d -x "$1" -y "$2" -c "$work" "PS1='\$ ' bash --norc"
  tmux send-keys "clear; alias candist='$program'" Enter
  tmux send-keys "clear; $3" Enter
}
take() { # NAME PATTERN...: the screen as soon as it has them all
  local name=$1 screen pattern
  shift
  for _ in $(seq 1200); do
    screen=$(tmux capture-pane -p)
    for pattern in "$@"; do grep -qE -- "$pattern" <<<"$screen" || { screen=; break; }; done
    if [ -n "$screen" ]; then
      printf '%s\n' "$screen" >"$out/$name.txt"
      return
    fi
    sleep 0.1
  done
  printf 'screens: nothing matches %s\n' "$*" >&2
  tmux capture-pane -p >&2
  exit 1
}

serve --latency-ms 250 --spread-ms 200 --storm-after 1900 --storm-seconds 4 --retry-after 6 --fault-rate 0.01 --fault wrong-labels --fault server-error
begin 80 24 'candist run support.toml'
take running '([3-5][0-9])%' 'in all' '/s'
take paused 'paused [0-9]+ s: 429'
tmux resize-window -x 40 -y 24
take narrowed '(6[5-9]|[7-9][0-9])%' 'in flight'
tmux resize-window -x 80 -y 40
take settling 'settling: pass [0-9]+ of'
take summary 'next:' '^\$ ?$'
kill "${servers[0]}"
rm -r "$work/run"

serve --latency-ms 250 --spread-ms 200
begin 40 16 'candist run support.toml'
take forty '([3-5][0-9])%' 'in all' 'in flight'
rm -rf "$work/run2"
begin 80 40 'candist status --watch run2'
take waiting 'waiting for'
(cd "$work" && exec "$program" run support.toml --run-dir run2 -q) &
run=$!
take watching '[4-9][0-9]%' '/s' 'in flight'
take watched 'banking77: complete' '^\$ ?$'
wait "$run"

python3 - "$out" docs/src/reference/terminal.md <<'PYTHON'
import pathlib, re, sys
folder, page = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
def block(match):
    screen = (folder / f"{match[2]}.txt").read_text()
    lines = [line.rstrip() for line in screen.rstrip().splitlines()]
    return match[1] + "\n".join(lines) + "\n" + match[4]
text = page.read_text()
text = re.sub(r"(<!-- screen: (\S+) -->\n+```text\n)(.*?)(```)", block, text, flags=re.S)
page.write_text(text)
PYTHON
printf 'screens: in %s and docs/src/reference/terminal.md\n' "$out" >&2
