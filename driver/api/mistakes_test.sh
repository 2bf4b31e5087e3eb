#!/bin/bash
# Compiles typical mistakes with the compilers that are there and checks the first error line.
set -u
cd "${TEST_SRCDIR:-.}/${TEST_WORKSPACE:-.}" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Compiles one body; the first error line goes to standard output.
first_error() {
  local compiler=$1 body=$2
  {
    printf '%s\n' '#include "driver/api/api.h"' 'using namespace sluice;' \
      'void Build(StreamingContext& ssc, DStream<std::string> lines) {' '(void)ssc;'
    cat "$body"
    echo '}'
  } > "$work/mistake.cc"
  "$compiler" -std=c++20 -fsyntax-only -I. "$work/mistake.cc" 2>&1 | grep -m1 'error:'
}

failures=0
check() {
  local title=$1 expected=$2 compiler line
  for compiler in g++ clang++-14; do
    command -v "$compiler" > /dev/null || continue
    line=$(first_error "$compiler" "$work/body")
    [[ "$line" == *"$expected"* ]] && continue
    echo "FAIL with $compiler: $title"
    echo "  expected: $expected"
    echo "  but got:  ${line:-no error at all}"
    failures=$((failures + 1))
  done
}

title=""
while IFS= read -r line; do
  case $line in
    '== '*) title=${line#== }; : > "$work/body" ;;
    '-- '*) check "$title" "${line#-- }"; title="" ;;
    *) [[ -n $title ]] && printf '%s\n' "$line" >> "$work/body" ;;
  esac
done < driver/api/testdata/mistakes.txt
[[ -z $title ]] || { echo "FAIL: no expectation for: $title"; failures=$((failures + 1)); }
echo "$failures failures"
exit $((failures != 0))
