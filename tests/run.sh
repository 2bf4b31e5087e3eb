#!/usr/bin/env bash
# All tests. Usage: tests/run.sh [PART ...]; without names, every part in the order below.
#
# A test's tags say which part it belongs to: sim, kills, crash, fuzz, soak, system; none
# of them means unit. A test tagged asan runs once more under the address sanitizer; one tagged
# needs_root is skipped for others, one tagged needs_s3 where tests/s3_server.sh has no S3 server,
# one tagged needs_etcd where tests/etcd_server.sh finds no etcd, one tagged needs_postgres where
# tests/postgres_server.sh finds no PostgreSQL. Closes with one line, `N passed, M failed, K
# skipped` (GoogleTest cases; a test without cases counts as one), the skipped and the failed named
# above it.
set -uo pipefail
cd "$(dirname "$0")/.."
source deploy/bazel_lib.sh
source tests/run_lib.sh

part_unit() {
  run_part "unit and golden" unit --local_test_jobs=2
  run_script "names in the catalogue of faults" tests/catalogue.py
}
part_asan() { run_part "under the address sanitizer" asan --config=asan; }
part_system() { run_part "whole system" system "${alone[@]}"; }
part_sim() { run_part "simulator" sim "${alone[@]}"; }
part_kills() { run_part "real kills" kills "${alone[@]}"; }
part_crash() { run_part "crash loops" crash "${alone[@]}"; }
part_install() {
  run_script "install and compile" tests/install_test.sh
  run_script "systemd units" tests/systemd_test.sh
  run_script "quickstart" tests/quickstart_test.sh
}
part_fuzz() { run_part "fuzzers" fuzz "${alone[@]}"; }
part_soak() { run_part "soak" soak "${alone[@]}"; }
# These start clusters, draw seeds or count time: one at a time, and never from the cache.
alone=(--local_test_jobs=1 --nocache_test_results)

parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(unit asan system sim kills crash install fuzz soak)
for part in "${parts[@]}"; do
  declare -F "part_$part" >/dev/null || { echo "tests/run.sh: no part named '$part'" >&2; exit 2; }
done

deploy/deps.sh || { echo "tests/run.sh: the packages are not all there" >&2; exit 1; }
end_own_bazel_server_at_exit
build_everything
for part in "${parts[@]}"; do "part_$part"; done
report_and_exit
