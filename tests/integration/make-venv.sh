#!/usr/bin/env bash
# Makes build/venv with the pinned clients of requirements.txt; quick when it is already so. Without a network it says so
# and the tests that need a client are counted as skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
requirements=tests/integration/requirements.txt
stamp=build/venv/.requirements
if [ -f "$stamp" ] && cmp -s "$stamp" "$requirements" && build/venv/bin/python3 -c '' 2>/dev/null; then exit 0; fi
mkdir -p build
log=build/venv.log
echo "make-venv: installing the test clients into build/venv" >&2
if python3 -m venv --clear build/venv >"$log" 2>&1 &&
  build/venv/bin/python3 -m pip install --quiet --disable-pip-version-check -r "$requirements" >>"$log" 2>&1; then
  cp "$requirements" "$stamp"
else
  tail -n 5 "$log" >&2
  echo "make-venv: the test clients could not be installed; tests that need them will be skipped" >&2
fi
