#!/usr/bin/env bash
# Runs the LiteLLM proxy with a model, "mock", that always gives the answer in litellm.yaml.
#
# What for: to see that candist gets along with the proxy itself (keys, errors, fields of a reply) without a real model.
# Usage: scripts/real-servers/litellm.sh [PORT]      (8091 when left out; its key is $LITELLM_MASTER_KEY or sk-local)
#
# The first call installs it into ~/.cache/candist/real-servers. It runs until it is stopped (Ctrl-C or kill).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

version=1.102.4
port=${1:-8091}
export LITELLM_MASTER_KEY=${LITELLM_MASTER_KEY:-sk-local}
# Prices come with the package: nothing is fetched at the start.
export LITELLM_LOCAL_MODEL_COST_MAP=True

# Without prisma it answers HTTP 500, not 401, to a request without a key.
venv "litellm-$version" "litellm[proxy]==$version" prisma==0.15.0
cd "$cache"
serve "$port" "$LITELLM_MASTER_KEY" mock \
  "$cache/litellm-$version/bin/litellm" --config "$here/litellm.yaml" --host 127.0.0.1 --port "$port" --telemetry False
