#!/usr/bin/env bash
# Prints the path of an S3 server for tests: one that puts conditionally, at once, and checks
# signatures. It is built from its Go module when it is not there yet; ends with 77 where it
# cannot be had.
set -euo pipefail

module=github.com/versity/versitygw
version=v1.8.0
folder=${SLUICE_TEST_TOOLS:-$(getent passwd "$(id -un)" | cut -d: -f6)/.cache/sluice-test-tools}
server=$folder/versitygw-$version

if [ ! -x "$server" ]; then
  command -v go >/dev/null || { echo "s3_server.sh: no Go to build it with" >&2; exit 77; }
  mkdir -p "$folder"
  built=$(mktemp -d "$folder/build.XXXXXX")
  trap 'rm -rf "$built"' EXIT
  echo "s3_server.sh: building $module $version" >&2
  export GOBIN=$built
  if ! timeout 1200 go install "$module/cmd/versitygw@$version" >&2; then
    echo "s3_server.sh: it cannot be built" >&2
    exit 77
  fi
  mv "$built/versitygw" "$server"
fi
echo "$server"
