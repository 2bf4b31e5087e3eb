#!/usr/bin/env bash
# Runs one fuzzer under Clang's libFuzzer, from its seeds and its corpus. What it finds new goes
# into a folder of its own, and a crash into a file that is named last:
#
#   tests/fuzz/run.sh codec                # a minute
#   tests/fuzz/run.sh codec 3600           # an hour
#   tests/fuzz/run.sh codec 3600 -jobs=2   # and whatever else libFuzzer takes
#
# A crash is reproduced by `bazel run //tests/fuzz:NAME_fuzz_test -- --once FILE`.
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/bazel_lib.sh

names=$(cd tests/fuzz && printf '%s ' *_fuzz.cc)
name=${1:?which fuzzer: ${names//_fuzz.cc/}}
seconds=${2:-60}
found=${FUZZ_FOUND:-${TMPDIR:-/tmp}/sluice-fuzz/$name}
mkdir -p "$found"

end_own_bazel_server_at_exit
bazel build "//tests/fuzz:${name}_fuzz_test"
"bazel-bin/tests/fuzz/${name}_fuzz_test" --write-seeds "$found"
bazel build --config=libfuzzer "//tests/fuzz:${name}_libfuzzer"
corpus=("$found")
[ ! -d "tests/fuzz/corpus/$name" ] || corpus+=("tests/fuzz/corpus/$name")
"bazel-bin/tests/fuzz/${name}_libfuzzer" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 \
  -artifact_prefix="$found/" "${@:3}" "${corpus[@]}"
