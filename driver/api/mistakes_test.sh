#!/bin/bash
# Compiles typical mistakes with the compilers that are there and checks the first error line. The
# header is compiled once for each compiler, and the compilers work side by side.
set -u
cd "${TEST_SRCDIR:-.}/${TEST_WORKSPACE:-.}" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The flags that stand for `#include "driver/api/api.h"`, set by prepare.
precompiled=()
prepare() {
  local compiler=$1 folder=$2
  mkdir -p "$folder/driver/api"
  case $compiler in
    clang*) precompiled=(-include-pch "$folder/api.pch")
            "$compiler" -std=c++20 -I. -x c++-header driver/api/api.h -o "$folder/api.pch" ;;
    *) precompiled=(-Werror=invalid-pch "-I$folder" -include driver/api/api.h)
       "$compiler" -std=c++20 -I. -x c++-header driver/api/api.h \
         -o "$folder/driver/api/api.h.gch" ;;
  esac
}

# Compiles one body; the first error line goes to standard output.
first_error() {
  local compiler=$1 folder=$2
  {
    printf '%s\n' 'using namespace sluice;' \
      'void Build(StreamingContext& ssc, DStream<std::string> lines) {' '(void)ssc;'
    cat "$folder/body"
    echo '}'
  } > "$folder/mistake.cc"
  "$compiler" -std=c++20 -fsyntax-only "${precompiled[@]}" -I. "$folder/mistake.cc" 2>&1 |
    grep -m1 'error:'
}

failures=0
check() {
  local compiler=$1 folder=$2 title=$3 expected=$4 line
  line=$(first_error "$compiler" "$folder")
  [[ "$line" == *"$expected"* ]] && return
  echo "FAIL with $compiler: $title"
  echo "  expected: $expected"
  echo "  but got:  ${line:-no error at all}"
  failures=$((failures + 1))
}

# All mistakes with one compiler; the exit status says whether one was not told as expected.
check_all() {
  local compiler=$1 folder=$work/$1 title="" line checked=0
  prepare "$compiler" "$folder" || { echo "FAIL with $compiler: the header alone"; return 1; }
  while IFS= read -r line; do
    case $line in
      '== '*) title=${line#== }; : > "$folder/body" ;;
      '-- '*) check "$compiler" "$folder" "$title" "${line#-- }"; title=""; ((++checked)) ;;
      *) [[ -n $title ]] && printf '%s\n' "$line" >> "$folder/body" ;;
    esac
  done < driver/api/testdata/mistakes.txt
  [[ -z $title ]] || { echo "FAIL: no expectation for: $title"; failures=$((failures + 1)); }
  echo "$compiler: $checked mistakes, $failures failures"
  return $((failures != 0))
}

running=()
for compiler in g++ clang++-14; do
  command -v "$compiler" > /dev/null || continue
  check_all "$compiler" > "$work/$compiler.txt" 2>&1 &
  running+=("$!:$work/$compiler.txt")
done
failed=0
for entry in "${running[@]}"; do
  wait "${entry%%:*}" || failed=1
  cat "${entry#*:}"
done
exit $failed
