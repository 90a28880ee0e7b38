#!/usr/bin/env bash
# Fetches a model into the user's cache directory and prints its path as the last line of stdout.
#
#   bash scripts/fetch-model.sh                       the default model, if it is not there, or not what it should be
#   bash scripts/fetch-model.sh qwen2.5-coder-0.5b    another one; --help lists the names
#   bash scripts/fetch-model.sh --print-path [NAME]   only say where it is kept; touches nothing
#
# Kept in ${XDG_CACHE_HOME:-~/.cache}/intactkv. An interrupted download goes on where it stopped.
set -euo pipefail
command -v python3 >/dev/null || {
  echo "fetch-model: python3 is missing; run 'bash scripts/install-deps.sh' first" >&2
  exit 1
}
exec python3 "$(dirname "$0")/fetch_model.py" "$@"
