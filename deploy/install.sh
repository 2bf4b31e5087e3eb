#!/usr/bin/env bash
# Builds Sluice and installs it: deploy/install.sh --prefix=DIR
#
#   bin/sluice                     the command
#   include/sluice/                headers, so that #include "sluice/sluice.h" works with its flags
#   lib/libsluice.a                the library, everything of ours in it
#   lib/pkgconfig/sluice.pc        g++ -std=c++20 -O2 job.cc $(pkg-config --cflags --libs sluice)
#   lib/libsluice_postgres.a       the PostgreSQL sink, with sluice-postgres.pc, for those who
#                                  include sluice/sinks/postgres.h; the only part that needs libpqxx
#   lib/cmake/Sluice/              find_package(Sluice), targets Sluice::sluice, Sluice::postgres
#   lib/systemd/system/            the units of deploy/systemd
#   share/sluice/examples/         the examples, built, with their sources
set -euo pipefail

usage() { echo "usage: deploy/install.sh --prefix=DIR" >&2; exit 2; }
prefix=
while [ $# -gt 0 ]; do
  case "$1" in
    --prefix=*) prefix=${1#--prefix=} ;;
    --prefix) [ $# -gt 1 ] || usage; prefix=$2; shift ;;
    *) usage ;;
  esac
  shift
done
[ -n "$prefix" ] || usage
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)

cd "$(dirname "$0")/.."
source deploy/bazel_lib.sh
deploy/deps.sh
end_own_bazel_server_at_exit
bazel build //sluice/cli:sluice //deploy:libsluice //sluice/sinks:postgres //examples/...
built=$(bazel info bazel-bin 2>/dev/null)

put() { install -D -m "$1" "$2" "$3"; }

put 755 "$built/sluice/cli/sluice" "$prefix/bin/sluice"
put 644 "$built/deploy/libsluice.a" "$prefix/lib/libsluice.a"
put 644 "$built/sluice/sinks/libpostgres.a" "$prefix/lib/libsluice_postgres.a"

# The headers that a program and its tests see, and no other: what the compiler finds from the two
# that they include.
rm -rf "$prefix/include/sluice"
seen=$(g++ -std=c++20 -MM -I. sluice/sluice.h sluice/testing.h | tr -d '\\' | tr ' ' '\n')
for header in $(grep '\.h$' <<<"$seen" | sort -u); do
  put 644 "$header" "$prefix/include/sluice/$header"
done

put 644 sluice/sinks/postgres.h "$prefix/include/sluice/sluice/sinks/postgres.h"

# What the examples share.
for header in examples/*.h; do
  put 644 "$header" "$prefix/include/sluice/$header"
done

version=$(sed -n 's/.*kReleaseVersion\[\] = "\(.*\)".*/\1/p' common/protocol_version.h)
[ -n "$version" ] || { echo "install.sh: no version in common/protocol_version.h" >&2; exit 1; }
link_flags=$(cat "$built/deploy/libsluice.link_flags")
fill() {  # fill TEMPLATE TARGET
  mkdir -p "$(dirname "$2")"
  sed -e "s|@VERSION@|$version|g" -e "s|@LINK_FLAGS@|$link_flags|g" \
    -e "s|/usr/local/bin/sluice|$prefix/bin/sluice|g" "$1" >"$2"
}
fill deploy/sluice.pc.in "$prefix/lib/pkgconfig/sluice.pc"
fill deploy/sluice-postgres.pc.in "$prefix/lib/pkgconfig/sluice-postgres.pc"
fill deploy/SluiceConfig.cmake.in "$prefix/lib/cmake/Sluice/SluiceConfig.cmake"
fill deploy/SluiceConfigVersion.cmake.in "$prefix/lib/cmake/Sluice/SluiceConfigVersion.cmake"
for unit in deploy/systemd/*.service; do
  fill "$unit" "$prefix/lib/systemd/system/$(basename "$unit")"
done

for source in examples/*.cc; do
  name=$(basename "$source" .cc)
  [ -x "$built/examples/$name" ] || continue
  put 755 "$built/examples/$name" "$prefix/share/sluice/examples/$name"
  put 644 "$source" "$prefix/share/sluice/examples/$name.cc"
done
echo "installed in $prefix"
