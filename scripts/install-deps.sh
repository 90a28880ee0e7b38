#!/usr/bin/env bash
# Installs the packages that the project needs from the distribution: Debian 12, Debian 13, Ubuntu 24.04.
#
#   bash scripts/install-deps.sh          what building, running and testing needs
#   bash scripts/install-deps.sh --dev    the same and clang-19 with clang-format (--ci is the same)
#   bash scripts/install-deps.sh --list   prints the package names and changes nothing
#
# Asks nothing. Touches neither network nor disk when all packages are there. Exit status: 0 all there or installed,
# 1 not installed (the words on stderr say what to type), 2 bad use.
set -euo pipefail

say() { echo "install-deps: $*" >&2; }

# The Boost version of each distribution: at least 1.81 (JSON and URL), and only one -dev version fits a system.
boost_version_for() {
  case $1 in
    debian-12) echo 1.81 ;;
    debian-13 | ubuntu-24.04) echo 1.83 ;;
    *) return 1 ;;
  esac
}

package_list() {
  local boost=$1 with_clang=$2
  echo g++ cmake ninja-build ccache pkg-config git ca-certificates
  echo "libboost$boost-dev libboost-json$boost-dev libboost-url$boost-dev libboost-program-options$boost-dev"
  echo libgrpc-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  echo libabsl-dev libssl-dev prometheus-cpp-dev libpcre2-dev libutf8proc-dev
  echo libgtest-dev libgmock-dev
  echo python3 python3-venv
  if [ "$with_clang" = 1 ]; then echo clang-19 clang-format-19 libclang-rt-19-dev llvm-19; fi
}

# Prints those of its arguments that are not installed.
missing_of() {
  local installed package
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    grep -qxF "$package installed" <<<"$installed" || echo "$package"
  done
}

elsewhere() {
  say "this is ${PRETTY_NAME:-an unknown system}; packages are known for Debian 12, Debian 13 and Ubuntu 24.04 only."
  say "Install what these Debian 13 packages hold, by your system's own means:"
  package_list 1.83 "$with_clang" >&2
  say "(Boost >= 1.81, gRPC >= 1.51 and Protobuf >= 3.21 from one source, CMake >= 3.25, g++ >= 12 or clang >= 19.)"
  say "Then: cmake --preset release && cmake --build build/release"
  exit 1
}

main() {
  local with_clang=0 list_only=0
  for argument in "$@"; do
    case $argument in
      --dev | --ci) with_clang=1 ;;
      --list) list_only=1 ;;
      -h | --help) sed -n '2,9p' "$0" | cut -c3-; exit 0 ;;
      *) say "unknown argument '$argument' (known: --dev, --ci, --list)"; exit 2 ;;
    esac
  done

  local os_release=${INTACTKV_OS_RELEASE:-/etc/os-release} ID='' VERSION_ID='' PRETTY_NAME='' boost
  # shellcheck disable=SC1090
  [ ! -r "$os_release" ] || . "$os_release"
  boost=$(boost_version_for "$ID-$VERSION_ID") || elsewhere
  local packages missing
  read -r -d '' -a packages <<<"$(package_list "$boost" "$with_clang")" || true
  if [ "$list_only" = 1 ]; then printf '%s\n' "${packages[@]}"; exit 0; fi
  mapfile -t missing < <(missing_of "${packages[@]}")
  [ "${#missing[@]}" -gt 0 ] || exit 0

  local options=(-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
  local install=(apt-get "${options[@]}" install -y -qq --no-install-recommends "${missing[@]}")
  local as_root=(env DEBIAN_FRONTEND=noninteractive)
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
    else
      say "${#missing[@]} packages are missing and this is not root (nor sudo without a password). As root, run:"
      echo "apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
      say "and start again; nothing was changed."
      exit 1
    fi
  fi
  say "installing ${#missing[@]} packages: ${missing[*]}"
  "${as_root[@]}" apt-get "${options[@]}" update -qq >/dev/null || {
    say "the package lists could not be fetched (apt-get update): is the network there?"; exit 1; }
  local log
  log=$(mktemp)
  "${as_root[@]}" "${install[@]}" >"$log" 2>&1 || {
    tail -n 30 "$log" >&2; say "apt-get install failed; its whole output is in $log"; exit 1; }
  rm -f "$log"
  mapfile -t missing < <(missing_of "${packages[@]}")
  [ "${#missing[@]}" -eq 0 ] || { say "still missing after the installation: ${missing[*]}"; exit 1; }
  say "done"
}

main "$@"
