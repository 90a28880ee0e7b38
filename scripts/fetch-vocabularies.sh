#!/usr/bin/env bash
# Fetches the vocabularies that the tokenizer tests compare with (GPT-2, Llama-2, Llama-3, Mistral, Qwen2) into the user's cache
# directory and prints their folder as the last line of stdout. Nothing but tests needs them.
#
# Kept in ${XDG_CACHE_HOME:-~/.cache}/intactkv/vocabularies. An interrupted download goes on where it stopped.
set -euo pipefail
command -v python3 >/dev/null || {
  echo "fetch-vocabularies: python3 is missing; run 'bash scripts/install-deps.sh' first" >&2
  exit 1
}
exec python3 "$(dirname "$0")/fetch_vocabularies.py" "$@"
