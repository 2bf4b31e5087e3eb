#!/usr/bin/env bash
# Prints the folder of PostgreSQL's server programs; ends with 77 where it is not installed, or
# where the tests run as root and no user postgres is there to run it as.
set -euo pipefail

if [ "$(id -u)" -eq 0 ] && ! id postgres >/dev/null 2>&1; then exit 77; fi
found=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
[ -x "$found" ] || exit 77
dirname "$found"
