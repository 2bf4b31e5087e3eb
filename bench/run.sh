#!/usr/bin/env bash
# All benchmarks in one table: builds them, runs them one after another, and ends with a non-zero
# code where an output differs from the floor's. Takes about twenty minutes once built.
#
#   bench/run.sh            # everything
#   bench/run.sh kernels local ysb nexmark shuffle state batches checkpoint grep words empty \
#     latency losses recovery model straggler   # these
#   bench/run.sh s3         # a log in an S3 bucket, by name only: it needs tests/s3_server.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/bazel_lib.sh

end_own_bazel_server_at_exit
bazel build --noshow_progress --ui_event_filters=-info //bench/... //sluice/cli:sluice \
  //tests/jobs:gate

parts=${*:-kernels local ysb nexmark shuffle state batches checkpoint grep words empty latency \
  losses recovery model straggler}
printf '%s; %s cores; load %s\n' "$(date -u +%F)" "$(nproc)" "$(cut -d' ' -f1-3 /proc/loadavg)"
printf '%-50s | %-25s | %-16s | %-16s | %s\n' "what" "value" "floor -O2" "floor -O3 native" "output"
for part in $parts; do
  case $part in
    kernels | local | ysb | nexmark | shuffle | state | batches | checkpoint)
      "bazel-bin/bench/${part}_bench"
      ;;
    s3)
      tests/s3_server.sh >/dev/null
      python3 bench/s3_log.py bazel-bin/sluice/cli/sluice bazel-bin/tests/jobs/gate
      ;;
    *)
      if [ "$part" = model ]; then bazel-bin/bench/recovery_model; fi  # more workers, virtual time
      python3 bench/cluster_bench.py bazel-bin/sluice/cli/sluice bazel-bin/bench/jobs/cluster_job \
        bazel-bin/bench/floors_bench --only="$part"
      ;;
  esac
done
