#!/usr/bin/env bash
# scripts/install-deps.sh without touching the system: names per distribution, words and exit status elsewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# list ID VERSION: the packages for that system
list() {
  printf 'ID=%s\nVERSION_ID="%s"\nPRETTY_NAME="%s %s"\n' "$1" "$2" "$1" "$2" >"$folder/os-release"
  INTACTKV_OS_RELEASE=$folder/os-release bash scripts/install-deps.sh --list "${@:3}"
}

list debian 12 | grep -x libboost-json1.81-dev >/dev/null || fail "Debian 12 has Boost 1.81"
list debian 13 | grep -x libboost-json1.83-dev >/dev/null || fail "Debian 13 has Boost 1.83"
list ubuntu 24.04 | grep -x libboost-url1.83-dev >/dev/null || fail "Ubuntu 24.04 has Boost 1.83"
[ "$(list debian 13 | grep -c clang)" = 0 ] || fail "clang comes only with --dev"
list debian 13 --ci | grep -x clang-format-19 >/dev/null || fail "--ci brings clang-format"

status=0
list fedora 41 >"$folder/out" 2>"$folder/err" || status=$?
[ "$status" = 1 ] || fail "an unknown system is exit status 1, was $status"
grep -q 'fedora 41' "$folder/err" || fail "the words name the system"
grep -q 'libgrpc++-dev' "$folder/err" || fail "the words list the packages"

status=0
bash scripts/install-deps.sh --nonsense 2>"$folder/err" || status=$?
[ "$status" = 2 ] || fail "an unknown argument is exit status 2, was $status"
echo passed
