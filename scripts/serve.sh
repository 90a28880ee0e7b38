#!/usr/bin/env bash
# Installs what is missing, builds, fetches the model and serves it on 127.0.0.1:8080.
#
#   bash scripts/serve.sh                               the default model
#   bash scripts/serve.sh --model qwen2.5-coder-0.5b    a model that scripts/fetch-model.sh knows by this name
#   bash scripts/serve.sh --model PATH [...]            your own; every argument goes to `intactkv serve`
#   INTACTKV_MODEL=NAME-OR-PATH bash scripts/serve.sh   the same
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

# The path of the model that is meant, fetched first if it is a name. What exists under that name is a path.
model_path() {
  if [ ! -e "$1" ] && bash "$root/scripts/fetch-model.sh" --print-path -- "$1" >/dev/null 2>&1; then
    bash "$root/scripts/fetch-model.sh" -- "$1"
  else
    printf '%s\n' "$1"
  fi
}

bash "$root/scripts/install-deps.sh"
echo "serve: building (the first time takes some minutes)" >&2
(cd "$root" && cmake --preset release >/dev/null && cmake --build build/release --target intactkv) >&2

arguments=() names_a_model=0
while [ "$#" -gt 0 ]; do
  case $1 in
    --model=*)
      names_a_model=1
      model=$(model_path "${1#--model=}")
      arguments+=(--model="$model")
      ;;
    --model)
      names_a_model=1
      arguments+=("$1")
      if [ "$#" -gt 1 ]; then
        shift
        model=$(model_path "$1")
        arguments+=("$model")
      fi
      ;;
    --help | -h)
      names_a_model=1
      arguments+=("$1")
      ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
if [ "$names_a_model" = 0 ] && [ -n "${INTACTKV_MODEL:-}" ]; then
  INTACTKV_MODEL=$(model_path "$INTACTKV_MODEL")
  export INTACTKV_MODEL
elif [ "$names_a_model" = 0 ]; then
  model=$(bash "$root/scripts/fetch-model.sh")
  arguments=(--model "$model" ${arguments[@]+"${arguments[@]}"})
fi
exec "$root/build/release/bin/intactkv" serve ${arguments[@]+"${arguments[@]}"}
