#!/usr/bin/env bash
# usage: run_lib_test.sh RUN_LIB: that a run which finds no tests is a failed one.
set -uo pipefail
source "$1"

fail() { echo "FAILED: $1: ${failed_names[*]+"${failed_names[*]}"}"; exit 1; }

# expect_failed WHAT: that it is named among the failures, and that the run ends with an error.
expect_failed() {
  [[ " ${failed_names[*]+"${failed_names[*]}"} " == *"$1"* ]] || fail "$1 is not named"
  (passed=3; report_and_exit) >/dev/null && fail "the run ends well"
  failed_names=()
}

bazel() { return 7; }  # a BUILD file that cannot be loaded
build_everything >/dev/null
expect_failed "the build"
run_part "unit and golden" unit >/dev/null
expect_failed "unit and golden"

bazel() { return 0; }  # a tag that no target has any more
run_part "simulator" sim >/dev/null
expect_failed "simulator"

run_script "quickstart" tests/no_such_script.sh >/dev/null 2>&1
expect_failed "no_such_script"
echo "run_lib_test passed"
