#!/usr/bin/env bash
# The main job, on a real cluster of processes on this machine: a driver and three workers count
# the words of the King James Bible, half of it arriving as files and half as pushed lines, while
# a worker is killed. Ends with one line `exact: …`, or a non-zero exit code.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/bazel_lib.sh

say() { printf '\n== %s\n' "$*"; }
fail() {
  echo "quickstart: $*" >&2
  exit 1
}

say "installing Debian packages (none when all are there)"
deploy/deps.sh
say "building (minutes the first time)"
own_server=0
! bazel_server_absent || own_server=1
bazel build --noshow_progress //sluice/cli:sluice //examples:wordcount
sluice=$PWD/bazel-bin/sluice/cli/sluice
wordcount=$PWD/bazel-bin/examples/wordcount

work=$(mktemp -d "${TMPDIR:-/tmp}/sluice-quickstart.XXXXXX")
started=()
clean_up() {
  local code=$?
  [ ${#started[@]} -eq 0 ] || kill -KILL "${started[@]}" 2>/dev/null || true
  pkill -KILL -f -- "--sluice-data=$work/" 2>/dev/null || true
  wait 2>/dev/null || true
  [ "$code" -eq 0 ] || tail -n 20 "$work"/*.log >&2 2>/dev/null || true
  rm -rf "$work"
  [ "$own_server" = 0 ] || bazel shutdown >/dev/null 2>&1 || true
  exit "$code"
}
trap clean_up EXIT

# Waits until the command prints something; the deadline is generous, the event is awaited.
await() {
  local what=$1 deadline=$((SECONDS + 90))
  shift
  until [ -n "$("$@" 2>/dev/null || true)" ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "timed out waiting for $what"
    sleep 0.1
  done
}
field() {
  "$sluice" job status kjv --driver="$driver" -o json |
    sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

say "a driver and three workers"
"$sluice" driver --listen=127.0.0.1:0 --http=127.0.0.1:0 --data-dir="$work/driver" \
  --port-file="$work/driver.port" 2>"$work/driver.log" &
started+=($!)
disown
await "the driver" cat "$work/driver.port"
driver=$(cat "$work/driver.port")
for n in 1 2 3; do
  "$sluice" worker --driver="$driver" --slots=2 --data-dir="$work/worker$n" \
    --port-file="$work/worker$n.port" 2>"$work/worker$n.log" &
  started+=($!)
  victim=$!
  disown  # its end by a signal is expected
done
for n in 1 2 3; do await "worker $n" cat "$work/worker$n.port"; done
"$sluice" worker list --driver="$driver"

say "word count, submitted as a compiled binary"
mkdir "$work/in" "$work/out"
bible -f 'gen1:1-rev22:21' </dev/null >"$work/text" 2>/dev/null || true
[ "$(wc -l <"$work/text")" -gt 30000 ] || fail "the text of bible-kjv-text cannot be read"
lines=$(wc -l <"$work/text")
half=$((lines / 2))
"$sluice" submit --driver="$driver" --name=kjv --checkpoint="rocksdb:$work/checkpoint" \
  --conf=batch_interval=200ms "$wordcount" -- --dir="$work/in" --push=lines \
  --output="$work/out/totals"

say "half of the text as files, half as pushed lines; one worker is killed on the way"
head -n "$half" "$work/text" | split -l 1000 - "$work/part."
tail -n +"$((half + 1))" "$work/text" >"$work/pushed"
"$sluice" push --driver="$driver" --job=kjv --stream=lines --producer=quickstart --batch=500 \
  "$work/pushed" >"$work/push.out" 2>"$work/push.log" &
push=$!
count=0
killed_at=
for part in "$work"/part.*; do
  count=$((count + 1))
  before=$(field decided_batches)
  mv "$part" "$work/in/.${part##*/}"
  mv "$work/in/.${part##*/}" "$work/in/${part##*/}"
  if [ "$count" = 6 ]; then
    killed_at=$(field decided_batches)
    kill -KILL "$victim"
    echo "killed worker 3 (process $victim) at batch $killed_at"
  fi
  one_more() { [ "$(field decided_batches)" -gt "$before" ] && echo yes; }
  await "a batch after file $count" one_more
  [ $((count % 4)) -ne 0 ] ||
    echo "batch $(field decided_batches): $(field records_total) of $lines lines, $(field state)"
done
wait "$push" || fail "push ended with an error"
cat "$work/push.out"
all_counted() { [ "$(field records_total)" = "$lines" ] && echo yes; }
await "all lines to be counted" all_counted
"$sluice" job list --driver="$driver"
"$sluice" job drain kjv --driver="$driver" --deadline=60s

say "comparing with tr, sort and uniq"
tr -s ' \t' '\n\n' <"$work/text" | sed '/^$/d' | LC_ALL=C sort | uniq -c |
  awk '{ print "(" $2 "," $1 ")" }' | LC_ALL=C sort >"$work/expected"
last=$(ls -d "$work"/out/totals-* | tail -n 1)
cat "$last"/part-* | LC_ALL=C sort >"$work/counted"
cmp -s "$work/expected" "$work/counted" ||
  { diff "$work/expected" "$work/counted" | head -n 5 >&2; fail "the totals differ"; }
words=$(tr -s ' \t' '\n\n' <"$work/text" | sed '/^$/d' | wc -l)
distinct=$(wc -l <"$work/expected")
echo "exact: $words words, $distinct distinct, 3 workers, 1 killed at batch $killed_at"
