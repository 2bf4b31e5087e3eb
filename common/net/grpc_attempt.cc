#include "common/net/grpc_attempt.h"

#include "common/net/credentials.h"

namespace sluice::internal {

Attempt::Attempt(std::shared_ptr<LinkCore> core, std::shared_ptr<OutLink> link)
    : core_(std::move(core)), link_(std::move(link)) {
  const Security& security = core_->options().security;
  job_ = core_->JobOf(link_->address());
  channel_ = MakeChannel(link_->address(), security, job_);
  stub_ = proto::Link::NewStub(channel_);
  context_.AddMetadata(kFromKey, core_->address());
  Authorize(context_, link_->address(), security, job_);
}

void Attempt::Start() {
  self_ = shared_from_this();
  core_->AttemptBegan();
  stub_->async()->Open(&context_, this);
  AddHold();
  StartRead(&unused_);
  StartCall();
}

void Attempt::OnReadInitialMetadataDone(bool ok) {
  // A refusal also comes with metadata; only a link server answers with this key.
  if (!ok || context_.GetServerInitialMetadata().count(kLinkKey) == 0) return;
  answered_ = true;
  if (job_.empty()) core_->ProvedDaemon(link_->address());
  link_->Established(this);
}

void Attempt::OnReadDone(bool ok) {
  if (ok) {
    StartRead(&unused_);
  } else {
    link_->ReadFailed(this);
  }
}

void Attempt::OnDone(const grpc::Status& status) {
  OutLink::End end;
  end.established = answered_;
  end.why = status.error_message();
  end.refused = !answered_ && end.why.find("Connection refused") != std::string::npos;
  end.denied = status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
               status.error_code() == grpc::StatusCode::PERMISSION_DENIED;
  std::shared_ptr<LinkCore> core = core_;  // counts until all else is done
  link_->Ended(std::move(self_), std::move(end));
  core->AttemptEnded();
}

}  // namespace sluice::internal
