#!/usr/bin/env bash
# The quickstart, run as a newcomer does, in a copy of this checkout. It must end with its exact
# line and leave neither a process nor a file outside its folder and the caches.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
copy=$scratch/sluice
base="$HOME/.cache/bazel/_bazel_$(id -un)/$(printf %s "$copy" | md5sum | cut -c1-32)"
# What Bazel keeps of a folder that is gone; parts of it are not writable.
clean_up() {
  chmod -R u+w "$base" 2>/dev/null || true
  rm -rf "$scratch" "$base"
}
trap clean_up EXIT
fail() { echo "quickstart_test: $*" >&2; exit 1; }

mkdir "$copy"
tar --exclude=./.git --exclude='./bazel-*' -cf - . | tar -C "$copy" -xf -
mkdir "$scratch/tmp"
TMPDIR=$scratch/tmp "$copy/deploy/quickstart.sh" >"$scratch/said" 2>&1 ||
  { tail -n 30 "$scratch/said" >&2; fail "it failed"; }
last=$(tail -n 1 "$scratch/said")
wanted='^exact: [0-9]+ words, [0-9]+ distinct, 3 workers, 1 killed at batch [0-9]+$'
[[ $last =~ $wanted ]] || fail "it ended with: $last"
[ -z "$(ls -A "$scratch/tmp")" ] || fail "it left files: $(ls -A "$scratch/tmp")"
left=$(pgrep -f -- "$copy" || true)
[ -z "$left" ] || fail "it left processes: $left"
echo "$last"
