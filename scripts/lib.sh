# Shared by the scripts beside it; sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.tools
cd "$root" || exit 1

stage() { printf '\n== %s  (%ss)\n' "$*" "$SECONDS"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# What cannot be had here is skipped with one line. In CI a skip would be a green light for something nobody looked at.
skip() {
  [ "${CI:-}" != true ] || die "cannot skip in CI: $*"
  printf 'skipped: %s\n' "$*"
}

# Runs a command quietly; shows what it said only when it fails.
quietly() {
  local log
  log=$(mktemp)
  if "$@" >"$log" 2>&1; then rm -f "$log"; return 0; fi
  cat "$log" >&2
  rm -f "$log"
  return 1
}

# pytools NAME PACKAGE==VERSION …: a virtual environment in .tools/NAME, made again when the versions change.
# Fails, with nothing half made, where there is no Python, no venv module or no way to the packages.
pytools() {
  local dir=$tools/$1 log=$tools/$1.log
  shift
  [ "$(cat "$dir/.made-of" 2>/dev/null)" != "$*" ] || return 0
  command -v python3 >/dev/null || return 1
  rm -rf "$dir"
  mkdir -p "$tools"
  if { python3 -m venv "$dir" && "$dir/bin/python" -m pip install --disable-pip-version-check "$@"; } >"$log" 2>&1; then
    printf '%s' "$*" >"$dir/.made-of"
  else
    rm -rf "$dir"
    echo "could not install $*; the reason is in $log"
    return 1
  fi
}

# Debian keeps the server's programs out of PATH. The newest version wins.
postgres_bin() { find /usr/lib/postgresql -path '*/bin/initdb' -printf '%h\n' 2>/dev/null | sort -V | tail -1; }

find_postgres() {
  local dir
  dir=$(postgres_bin)
  [ -z "$dir" ] || PATH=$PATH:$dir
  command -v initdb >/dev/null
}
