#!/usr/bin/env bash
# Has systemd itself read the units, with the command that was built in the place of the installed
# one. Ends with 77 where there is no systemd.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v systemd-analyze >/dev/null || { echo "systemd_test: no systemd here"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bazel build --noshow_progress //sluice/cli:sluice
for unit in deploy/systemd/*.service; do
  sed "s#/usr/local/bin/sluice#$PWD/bazel-bin/sluice/cli/sluice#" "$unit" \
    >"$scratch/$(basename "$unit")"
done
# It ends with 0 although it ignores a line that it cannot read: nothing may be said at all.
said=$(systemd-analyze verify "$scratch"/*.service 2>&1)
[ -z "$said" ] || { echo "systemd_test: $said" >&2; exit 1; }
echo "systemd accepts $(ls deploy/systemd/*.service | wc -l) units"
