// Keepalive, the same on both sides: a half-open connection is noticed within 15 s, and no server
// sends the peers of its own kind away for pinging too often.
#pragma once

#include <grpc/impl/codegen/grpc_types.h>

namespace sluice {

inline constexpr int kKeepaliveTimeoutMs = 5'000;

template <class SetInt>
void SetKeepalive(SetInt set) {
  set(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
  set(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
}

}  // namespace sluice
