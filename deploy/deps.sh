#!/usr/bin/env bash
# Installs every Debian package that building, running and testing Sluice needs.
# As root or with sudo; quick when all of them are there.
set -euo pipefail

packages=(
  bazel-bootstrap bazel-rules-java g++ pkg-config cmake
  libgrpc++-dev libgrpc-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  libabsl-dev librocksdb-dev libgoogle-glog-dev libcpp-httplib-dev nlohmann-json3-dev
  libssl-dev libcurl4-openssl-dev zlib1g-dev libpqxx-dev postgresql etcd-server
  libgtest-dev libgmock-dev libbenchmark-dev
  clang-14 libclang-rt-14-dev openssl iproute2 nginx-light curl procps psmisc python3
  bible-kjv-text bible-kjv nftables
)

format='${db:Status-Status}=${Package} '
installed=" $(dpkg-query -W -f="$format" "${packages[@]}" 2>/dev/null || true) "
missing=()
for package in "${packages[@]}"; do
  case "$installed" in *" installed=$package "*) ;; *) missing+=("$package") ;; esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "deps.sh: need root or sudo to install: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "deps.sh: installing ${missing[*]}" >&2
# nginx, PostgreSQL and etcd are only programs that tests run: no service of theirs must start here.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod +x "$policy"
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
