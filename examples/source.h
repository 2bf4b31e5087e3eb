// The source that all examples share: --dir, --push=STREAM (with --dir: both), or --host and
// --port.
#pragma once

#include "sluice/sluice.h"

namespace examples {

inline sluice::DStream<std::string> Lines(sluice::StreamingContext& ssc) {
  sluice::Args& args = ssc.args();
  const std::string dir = args.Get("dir", "");
  const std::string push = args.Get("push", "");
  const std::string host = args.Get("host", "localhost");
  const int port = static_cast<int>(args.GetInt("port", 9999));
  if (!dir.empty() && !push.empty()) {
    return ssc.Union({ssc.TextFileStream(dir), ssc.PushStream(push)});
  }
  if (!dir.empty()) return ssc.TextFileStream(dir);
  if (!push.empty()) return ssc.PushStream(push);
  return ssc.SocketTextStream(host, port);
}

}  // namespace examples
