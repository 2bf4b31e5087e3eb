# For scripts that build: sourced at the top of the repository.

# Whether no Bazel server of this checkout runs yet: one that starts now is ours to end.
bazel_server_absent() {
  local base pid
  base="$HOME/.cache/bazel/_bazel_$(id -un)/$(printf %s "$PWD" | md5sum | cut -c1-32)"
  pid=$(cat "$base/server/server.pid.txt" 2>/dev/null || true)
  [ -z "$pid" ] || ! kill -0 "$pid" 2>/dev/null
}

# Ends the Bazel server of this checkout when the script ends, if it was not there before.
end_own_bazel_server_at_exit() {
  if bazel_server_absent; then
    trap 'bazel shutdown >/dev/null 2>&1' EXIT
  fi
}
