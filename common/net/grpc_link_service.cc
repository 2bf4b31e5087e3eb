#include "common/net/grpc_link_service.h"

#include <glog/logging.h>

#include <utility>

#include "common/net/access.h"
#include "common/net/credentials.h"
#include "common/net/share_checksum.h"

namespace sluice::internal {
namespace {

using Reactor = grpc::ServerBidiReactor<proto::Envelope, proto::Envelope>;

class Refusal : public Reactor {
 public:
  explicit Refusal(grpc::StatusCode code, const char* why) { Finish(grpc::Status(code, why)); }
  void OnDone() override { delete this; }
};

}  // namespace

// One incoming link. Deletes itself when gRPC is done with it.
class InLink : public Reactor {
 public:
  InLink(LinkService* service, std::shared_ptr<LinkCore> core, std::string from, std::string job)
      : service_(service), core_(std::move(core)), from_(std::move(from)), job_(std::move(job)) {}
  ~InLink() override { core_->EndClaim(from_, job_); }

  void Start() {
    StartSendInitialMetadata();
    StartRead(&message_);
  }

  void End(const grpc::Status& status = grpc::Status::OK) {
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(finished_, true)) return;
    }
    Finish(status);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return End();
    if (!SharesAreWhole(message_)) {
      LOG(ERROR) << "shares came damaged, the link is closed and they will be sent again: from="
                 << from_;
      return End(grpc::Status(grpc::StatusCode::DATA_LOSS, "shares came damaged"));
    }
    if (job_.empty() || JobMaySend(message_, job_)) {
      core_->OnMessage(from_, std::move(message_));
    } else {
      LOG(WARNING) << "message refused from a job's process: kind=" << message_.message_case()
                   << " from=" << from_;
    }
    message_.Clear();
    std::lock_guard lock(mutex_);
    if (!finished_) StartRead(&message_);
  }

  void OnCancel() override { End(); }

  void OnDone() override {
    service_->Forget(this);
    const std::shared_ptr<LinkCore> core = core_;
    const std::string from = from_;
    delete this;
    core->Probe(from);
  }

 private:
  LinkService* const service_;
  const std::shared_ptr<LinkCore> core_;
  const std::string from_;
  const std::string job_;  // its process holds the token of this job only, and we hold more
  proto::Envelope message_;
  std::mutex mutex_;
  bool finished_ = false;
};

Reactor* LinkService::Open(grpc::CallbackServerContext* context) {
  auto from = context->client_metadata().find(kFromKey);
  if (from == context->client_metadata().end()) {
    return new Refusal(grpc::StatusCode::INVALID_ARGUMENT, "a link without its sender's address");
  }
  const std::string address(from->second.data(), from->second.size());
  const Security& security = core_->options().security;
  const Caller caller = CallerOf(*context, security);
  const std::string job = security.cluster_token.empty() ? "" : caller.job;
  if (!core_->Claim(address, job)) {
    LOG(WARNING) << "link refused, another process is known there: job=" << job
                 << " from=" << address;
    return new Refusal(grpc::StatusCode::FAILED_PRECONDITION, "another process is at that address");
  }
  auto* link = new InLink(this, core_, address, job);
  {
    std::lock_guard lock(mutex_);
    if (closing_) {
      delete link;
      return new Refusal(grpc::StatusCode::UNAVAILABLE, "shutting down");
    }
    links_.insert(link);
  }
  context->AddInitialMetadata(kLinkKey, "1");
  link->Start();
  return link;
}

void LinkService::Close() {
  std::lock_guard lock(mutex_);  // held: a link in the set is alive, Forget waits
  closing_ = true;
  for (InLink* link : links_) link->End();
}

void LinkService::Forget(InLink* link) {
  std::lock_guard lock(mutex_);
  links_.erase(link);
}

}  // namespace sluice::internal
