#!/usr/bin/env bash
# Prints the path of Debian's etcd; ends with 77 where it is not installed.
set -euo pipefail

found=$(command -v etcd) || exit 77
echo "$found"
