# What tests/run.sh is made of: finding a part's targets, running them, counting their cases.

passed=0
failed_names=()
skipped_names=()
known_tags='sim|kills|crash|fuzz|soak|system'

# find_targets WHAT QUERY: labels into `targets`. None at all, as where a BUILD file cannot be
# loaded, is a failure that WHAT names: a run without tests must not end well.
find_targets() {
  local found
  targets=()
  if ! found=$(bazel query --noshow_progress "$2") || [ -z "$found" ]; then
    failed_names+=("$1 (no targets were found)")
    return 1
  fi
  mapfile -t targets <<<"$found"
}

build_everything() {
  local start=$SECONDS
  echo "== build"
  # Programs and tests only: a library on its own would be compiled in forms that nothing links.
  local targets
  find_targets "the build" 'kind(".*_(binary|test) rule", //...)
    except attr(tags, "\bmanual\b", //...)' || return
  bazel build --keep_going "${targets[@]}" || failed_names+=("the build (see above)")
  echo "== build: $((SECONDS - start)) s"
}

# The query for the test targets of one tag ("unit": of none of the known tags).
tests_of() {
  local all="tests(//...) except attr(tags, '\\bmanual\\b', tests(//...))"
  if [ "$1" = unit ]; then
    echo "$all except attr(tags, '\\b($known_tags)\\b', tests(//...))"
  else
    echo "attr(tags, '\\b$1\\b', $all)"
  fi
}

# set_aside TAG REASON: moves the targets with this tag from `targets` to the skipped.
set_aside() {
  local tagged label kept=()
  tagged=" $(bazel query --noshow_progress "attr(tags, '\\b$1\\b', tests(//...))" \
    2>/dev/null | tr '\n' ' ') "
  for label in "${targets[@]}"; do
    case "$tagged" in
      *" $label "*) skipped_names+=("$label ($2)") ;;
      *) kept+=("$label") ;;
    esac
  done
  targets=("${kept[@]+"${kept[@]}"}")
}

# What this machine cannot run.
set_aside_impossible() {
  [ "$(id -u)" -eq 0 ] || set_aside needs_root "needs root"
  [ -c /dev/fuse ] || set_aside needs_fuse "needs /dev/fuse"
  [ -w /sys/fs/cgroup/memory ] ||
    set_aside needs_memory_cgroup "needs a memory cgroup (version 1)"
  [ "$1" != system ] || tests/s3_server.sh >/dev/null || set_aside needs_s3 "needs an S3 server"
  tests/etcd_server.sh >/dev/null || set_aside needs_etcd "needs etcd"
  tests/postgres_server.sh >/dev/null || set_aside needs_postgres "needs a PostgreSQL server"
}

# run_part TITLE TAG [BAZEL OPTION ...]
run_part() {
  local title=$1 tag=$2 start=$SECONDS targets
  shift 2
  find_targets "$title" "$(tests_of "$tag")" || return
  echo "== $title: ${#targets[@]} targets"
  set_aside_impossible "$tag"
  if [ ${#targets[@]} -gt 0 ]; then
    local output
    output=$(mktemp)
    bazel test --keep_going --test_summary=short "$@" "${targets[@]}" 2>&1 | tee "$output"
    local label
    for label in "${targets[@]}"; do
      [ "$tag" = unit ] || show_own_lines "$label"
      count_target "$label" "$output"
    done
    rm -f "$output"
  fi
  echo "== $title: $((SECONDS - start)) s"
}

# run_script TITLE SCRIPT: one test that is a program of its own, because it runs Bazel itself. It
# ends with 77 when something that it needs is not on this machine.
run_script() {
  local title=$1 script=$2 start=$SECONDS
  echo "== $title: $script"
  "$script"
  case $? in
    0) passed=$((passed + 1)) ;;
    77) skipped_names+=("$script") ;;
    *) failed_names+=("$script") ;;
  esac
  echo "== $title: $((SECONDS - start)) s"
}

log_folder() { echo "bazel-testlogs/$(echo "${1#//}" | tr : /)"; }

# What a system test printed about itself, without GoogleTest's and the log's lines.
show_own_lines() {
  local log
  log="$(log_folder "$1")/test.log"
  [ -e "$log" ] || return 0
  echo "-- $1"
  grep -avE '^\[|^[IWEF][0-9]{4}|^$|^Note: |^Running main|PAGER:|^-{20,}$|^Executing tests from' \
    "$log" | tail -n 60 | cut -c1-400
}

# count_target LABEL OUTPUT: adds the cases of one target, as Bazel's summary and the XML have it.
count_target() {
  local label=$1 verdict xml ok=0 bad=0
  verdict=$(grep -aE "^$label +" "$2" | tail -n 1 | sed -E 's/^[^ ]+ +(\(cached\) +)?//')
  case "$verdict" in
    PASSED* | FLAKY* | FAILED\ in* | TIMEOUT*) ;;
    *) failed_names+=("$label (${verdict:-did not run})"); return ;;
  esac
  local case_name state
  while IFS=$'\t' read -r state case_name; do
    case "$state" in
      passed) ok=$((ok + 1)) ;;
      skipped) skipped_names+=("$label $case_name") ;;
      failed) bad=$((bad + 1)); failed_names+=("$label $case_name") ;;
    esac
  done < <(for xml in "$(log_folder "$label")"/{test.xml,shard_*/test.xml}; do
    [ ! -e "$xml" ] || cases_of "$xml"
  done)
  passed=$((passed + ok))
  case "$verdict" in
    PASSED* | FLAKY*)
      [ $((ok + bad + $(skips_of "$label"))) -gt 0 ] || passed=$((passed + 1)) ;;
    *) [ "$bad" -gt 0 ] || failed_names+=("$label ($verdict)") ;;
  esac
}

skips_of() { printf '%s\n' "${skipped_names[@]+"${skipped_names[@]}"}" | grep -cF "$1 "; }

# One line per test case of a GoogleTest XML file: state, tab, name.
cases_of() {
  awk '
    function attribute(name,  text) {
      if (!match($0, " " name "=\"[^\"]*\"")) return ""
      text = substr($0, RSTART, RLENGTH)
      sub(/^[^"]*"/, "", text); sub(/"$/, "", text)
      return text
    }
    function emit() { if (name != "") print state "\t" name; name = "" }
    /<testcase / {
      emit()
      suite = attribute("classname")
      name = (suite == "" ? "" : suite ".") attribute("name")
      left_out = attribute("result") == "skipped" || attribute("status") == "notrun"
      state = left_out ? "skipped" : "passed"
    }
    /<failure|<error/ { if (name != "") state = "failed" }
    /<skipped/ { if (name != "") state = "skipped" }
    /<\/testcase>/ { emit() }
    END { emit() }' "$1"
}

report_and_exit() {
  echo
  local name
  for name in "${skipped_names[@]+"${skipped_names[@]}"}"; do echo "skipped: $name"; done
  for name in "${failed_names[@]+"${failed_names[@]}"}"; do echo "failed: $name"; done
  echo "$passed passed, ${#failed_names[@]} failed, ${#skipped_names[@]} skipped"
  [ ${#failed_names[@]} -eq 0 ] && [ "$passed" -gt 0 ]
  exit
}
