// One call of Link.Open: one try at a link. Internal to grpc_link.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "common/net/grpc_link.h"
#include "proto/client.grpc.pb.h"

namespace sluice::internal {

// Keeps itself, its link and the core until gRPC is done with it. A hold lets writes start outside
// of gRPC's callbacks; the link drops it, once, when a read has failed and no write is under way.
class Attempt : public grpc::ClientBidiReactor<proto::Envelope, proto::Envelope>,
                public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(std::shared_ptr<LinkCore> core, std::shared_ptr<OutLink> link);
  void Start();
  void Cancel() { context_.TryCancel(); }

  // The link's, guarded by its mutex.
  struct LinkState {
    bool established = false;  // may be written to
    bool writing = false;
    bool read_failed = false;  // it has ended; its hold goes when no write is under way
    bool half_closed = false;
  };
  LinkState link_state;

  void OnReadInitialMetadataDone(bool ok) override;
  void OnWriteDone(bool ok) override { link_->WriteDone(this, ok); }
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  const std::shared_ptr<LinkCore> core_;
  const std::shared_ptr<OutLink> link_;
  std::string job_;  // of the process that is called; empty: a daemon
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<proto::Link::Stub> stub_;
  grpc::ClientContext context_;
  proto::Envelope unused_;  // the server never writes
  bool answered_ = false;
  std::shared_ptr<Attempt> self_;
};

}  // namespace sluice::internal
