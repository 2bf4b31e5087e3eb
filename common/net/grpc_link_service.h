// The receiving direction of links. Internal to grpc_transport.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "common/net/grpc_link.h"
#include "proto/client.grpc.pb.h"

namespace sluice::internal {

class InLink;

// Thread-safe.
class LinkService : public proto::Link::CallbackService {
 public:
  explicit LinkService(std::shared_ptr<LinkCore> core) : core_(std::move(core)) {}

  grpc::ServerBidiReactor<proto::Envelope, proto::Envelope>* Open(
      grpc::CallbackServerContext* context) override;

  // Ends all links from the receiving side; later ones are turned away.
  void Close();
  void Forget(InLink* link);

 private:
  const std::shared_ptr<LinkCore> core_;
  std::mutex mutex_;
  bool closing_ = false;
  std::set<InLink*> links_;
};

}  // namespace sluice::internal
