#!/usr/bin/env bash
# Installs what is missing, builds, fetches the default model and serves it on 127.0.0.1:8080.
#
#   bash scripts/serve.sh                         the default model
#   bash scripts/serve.sh --model PATH [...]      your own; every argument goes to `intactkv serve`
#   INTACTKV_MODEL=PATH bash scripts/serve.sh     the same
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

names_a_model=0
[ -z "${INTACTKV_MODEL:-}" ] || names_a_model=1
for argument in "$@"; do
  case $argument in
    --model | --model=* | --help | -h) names_a_model=1 ;;
  esac
done

bash "$root/scripts/install-deps.sh"
echo "serve: building (the first time takes some minutes)" >&2
(cd "$root" && cmake --preset release >/dev/null && cmake --build build/release --target intactkv) >&2

if [ "$names_a_model" = 0 ]; then
  model=$(bash "$root/scripts/fetch-model.sh")
  set -- --model "$model" "$@"
fi
exec "$root/build/release/bin/intactkv" serve "$@"
