# For scripts that build: sourced at the top of the repository.

# Ends the Bazel server of this checkout when the script ends, if it was not there before.
end_own_bazel_server_at_exit() {
  local base pid
  base="$HOME/.cache/bazel/_bazel_$(id -un)/$(printf %s "$PWD" | md5sum | cut -c1-32)"
  pid=$(cat "$base/server/server.pid.txt" 2>/dev/null || true)
  if [ -z "$pid" ] || ! kill -0 "$pid" 2>/dev/null; then
    trap 'bazel shutdown >/dev/null 2>&1' EXIT
  fi
}
