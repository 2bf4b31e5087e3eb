#!/usr/bin/env bash
# The unit tests under one sanitizer, in a build of their own. More words go to Bazel:
#
#   tests/sanitize.sh asan              # addresses and leaks
#   tests/sanitize.sh ubsan             # undefined behaviour
#   tests/sanitize.sh tsan              # races; targets that link neither gRPC nor RocksDB, whose
#                                       # packages are not instrumented
#   tests/sanitize.sh asan --jobs=1 //common/...    # these targets instead
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/bazel_lib.sh
source tests/run_lib.sh

case "${1:-}" in
  asan | ubsan | tsan) sanitizer=$1 ;;
  *) echo "usage: tests/sanitize.sh asan|ubsan|tsan [BAZEL OPTION OR TARGET ...]" >&2; exit 2 ;;
esac
shift

options=() targets=()
for word in "$@"; do
  case "$word" in -*) options+=("$word") ;; *) targets+=("$word") ;; esac
done
end_own_bazel_server_at_exit
if [ ${#targets[@]} -eq 0 ]; then
  query=$(tests_of unit)
  [ "$sanitizer" != tsan ] || query="let all = $query in
    \$all except rdeps(\$all, //third_party:grpc + //third_party:rocksdb)"
  find_targets "$sanitizer" "$query" || { echo "tests/sanitize.sh: no targets" >&2; exit 1; }
fi
echo "== $sanitizer: ${#targets[@]} targets"
# Several times as slow as without, and the longest unit tests are near their limits there.
bazel test --keep_going --test_summary=short --config="$sanitizer" \
  --test_timeout=300,900,1800,3600 \
  "${options[@]+"${options[@]}"}" "${targets[@]}"
