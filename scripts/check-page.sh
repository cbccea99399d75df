#!/usr/bin/env bash
# The page in Chromium: over a mock (every view, a million rows, axe-core), and over a real run that is killed. Needs node, npm and
# Chromium; playwright-core, axe-core and typescript come from npm, once, into target/tools/page.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/tools/page
if [ ! -d "$tools/node_modules/axe-core" ]; then
  mkdir -p "$tools"
  npm install --silent --no-audit --no-fund --prefix "$tools" playwright-core@1 axe-core@4 typescript@5 prettier@3 >&2
fi
export TOOLS=$tools/node_modules
"$TOOLS/.bin/tsc" -p scripts/page/tsconfig.json
"$TOOLS/.bin/prettier" --print-width 140 --check src/page/assets/*.js scripts/page/*.mjs >&2
cargo build --locked --bins --example replay_server
node scripts/page/check.mjs
node scripts/page/real.mjs target/debug/candist target/debug/examples/replay_server
