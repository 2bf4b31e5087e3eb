#!/bin/bash
# What including sluice.h and what the word count program cost to compile at -O2, as ratios to a
# file with the standard headers that they need anyway: CPU time of the compiler, the least of
# several rounds, taken in turn, so that a busy machine slows all three alike.
#
#   compile_time_test.sh HEADER_MAX PROGRAM_MAX     # in hundredths
set -u
cd "${TEST_SRCDIR:-.}/${TEST_WORKSPACE:-.}" || exit 1
readonly ROUNDS=9
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '#include <%s>\n' chrono functional memory optional span string tuple vector \
  > "$work/base.cc"
echo '#include "sluice/sluice.h"' > "$work/header.cc"
cp examples/wordcount.cc "$work/program.cc"

# Milliseconds of CPU; nothing when it does not compile.
cpu_ms() {
  local TIMEFORMAT='%U %S' spent
  spent=$({ time g++ -std=c++20 -O2 -I. -c "$1" -o "$work/out.o" 2> "$work/errors"; } 2>&1)
  [[ -s $work/errors ]] && { cat "$work/errors" >&2; return 1; }
  awk '{ printf "%d\n", ($1 + $2) * 1000 }' <<< "$spent"
}

declare -A least
for ((round = 0; round < ROUNDS; ++round)); do
  for what in base header program; do
    ms=$(cpu_ms "$work/$what.cc") || { echo "FAIL: $what does not compile"; exit 1; }
    [[ -n ${least[$what]:-} && ${least[$what]} -le $ms ]] || least[$what]=$ms
  done
done

failed=0
check() {
  local ratio=$((least[$1] * 100 / least[base]))
  printf '%s: %d ms, %d.%02d of %d ms\n' "$1" "${least[$1]}" $((ratio / 100)) $((ratio % 100)) \
    "${least[base]}"
  ((ratio <= $2)) || { echo "FAIL: above $2 hundredths"; failed=1; }
}
check header "$1"
check program "$2"
exit $failed
