#!/usr/bin/env bash
# Installs into an empty prefix, compiles a job with plain g++ and with CMake against it alone, and
# counts words with it. Not a Bazel test: it runs Bazel itself.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() { echo "install_test: $*" >&2; exit 1; }

deploy/install.sh --prefix="$scratch/prefix"
for file in bin/sluice include/sluice/sluice/sluice.h lib/libsluice.a lib/pkgconfig/sluice.pc \
  lib/cmake/Sluice/SluiceConfig.cmake lib/systemd/system/sluice-driver.service \
  lib/libsluice_postgres.a lib/pkgconfig/sluice-postgres.pc \
  share/sluice/examples/word_table \
  share/sluice/examples/{wordcount,error_filter,page_views,online_regression,anomalies,follow}; do
  [ -e "$scratch/prefix/$file" ] || fail "$file was not installed"
done
grep -q '^KillMode=process$' "$scratch/prefix/lib/systemd/system/sluice-driver.service" ||
  fail "systemd would end the job drivers with their daemon"
[ "$(ls "$scratch/prefix/include")" = sluice ] || fail "include/ holds more than sluice/"
"$scratch/prefix/bin/sluice" --version >/dev/null || fail "the installed command does not run"

# A job in a folder of its own, so that no header of the source tree can be found.
mkdir "$scratch/job" "$scratch/input"
cp examples/wordcount.cc "$scratch/job/job.cc"
cd "$scratch/job"
export PKG_CONFIG_PATH="$scratch/prefix/lib/pkgconfig"
# shellcheck disable=SC2046
g++ -std=c++20 -O2 job.cc $(pkg-config --cflags --libs sluice) -o job

# The source of docs/adding_a_source.md, with no header of ours but the installed ones.
mkdir "$scratch/source"
cp "$OLDPWD/examples/follow.cc" "$OLDPWD/examples/follow_file.h" "$scratch/source/"
sed -i 's|"examples/follow_file.h"|"follow_file.h"|' "$scratch/source/follow.cc"
# shellcheck disable=SC2046
g++ -std=c++20 -O2 "$scratch/source/follow.cc" $(pkg-config --cflags --libs sluice) -o follow

# The test of docs/testing_jobs.md, by the page's own command.
page=$OLDPWD/docs/testing_jobs.md
mkdir "$scratch/kit"
sed -n '/^```cpp$/,/^```$/{/^```/!p}' "$page" >"$scratch/kit/word_count_test.cc"
(cd "$scratch/kit" && eval "$(grep '^g++ ' "$page")")
"$scratch/kit/word_count_test" >"$scratch/kit/said" 2>&1 ||
  { cat "$scratch/kit/said" >&2; fail "the test of docs/testing_jobs.md fails"; }
grep '1 test from 1 test suite ran' "$scratch/kit/said" || fail "the page's test did not run"

# The optional part, by its own name only: a job without it links neither library.
mkdir "$scratch/table"
cp "$OLDPWD/examples/word_table.cc" "$scratch/table/"
# shellcheck disable=SC2046
g++ -std=c++20 -O2 "$scratch/table/word_table.cc" $(pkg-config --cflags --libs sluice-postgres) \
  -o word_table
./word_table --explain >/dev/null || fail "the job with a PostgreSQL sink does not run"
! ldd ./job | grep -q libpq || fail "a job without the PostgreSQL sink needs its libraries"

# Counts with the job: totals of every word, in the last batch's files.
printf 'to be or not to be\nthat is the question\n' >"$scratch/input/text"
counts() {  # counts OUTPUT PROGRAM FLAG...
  local output=$1 tries=0
  shift
  "$@" --output="$output" --conf batch_interval=100ms >"$output.log" 2>&1 &
  local pid=$!
  until grep -qs . "$output"-*/part-*; do
    kill -0 "$pid" 2>/dev/null || { cat "$output.log" >&2; fail "the job ended by itself"; }
    [ $((tries += 1)) -le 300 ] || { kill -9 "$pid"; cat "$output.log" >&2; fail "no output"; }
    sleep 0.1
  done
  kill -TERM "$pid"
  wait "$pid" || { cat "$output.log" >&2; fail "the job did not drain"; }
  local last
  last=$(printf '%s\n' "$output"-* | grep -v '\.log$' | sort | tail -n 1)
  cat "$last"/part-* | sort
}
expected=$(printf '(be,2)\n(is,1)\n(not,1)\n(or,1)\n(question,1)\n(that,1)\n(the,1)\n(to,2)')
counted=$(counts "$scratch/totals" ./job --dir="$scratch/input")
[ "$counted" = "$expected" ] || fail "wrong counts: $counted"
counted=$(counts "$scratch/followed" ./follow --file="$scratch/input/text")
[ "$counted" = "$expected" ] || fail "wrong counts of a source of one's own: $counted"

mkdir "$scratch/cmake"
cp job.cc "$scratch/table/word_table.cc" "$scratch/cmake/"
cat >"$scratch/cmake/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
project(job CXX)
find_package(Sluice 0.1 REQUIRED)
add_executable(job job.cc)
target_link_libraries(job Sluice::sluice)
add_executable(word_table word_table.cc)
target_link_libraries(word_table Sluice::postgres)
CMAKE
cmake -S "$scratch/cmake" -B "$scratch/cmake/build" -DCMAKE_PREFIX_PATH="$scratch/prefix" >/dev/null
cmake --build "$scratch/cmake/build" >/dev/null
"$scratch/cmake/build/job" --explain >/dev/null || fail "the job built with CMake does not run"
"$scratch/cmake/build/word_table" --explain >/dev/null ||
  fail "the job with a PostgreSQL sink that was built with CMake does not run"
echo "installed, compiled with g++ and CMake, counted right"
