// The calls of driver_service.h about letters: listing them, and having them run again.
#include <algorithm>

#include "checkpoint/letters.h"
#include "checkpoint/open_store.h"
#include "common/exit_code.h"
#include "common/status.h"
#include "driver/daemon/driver_daemon.h"
#include "driver/daemon/driver_service.h"

namespace sluice::daemon {
namespace {

constexpr uint64_t kReplayBytesMax = uint64_t{48} << 20;  // of one message

struct LettersOfJob {
  std::string where;
  std::vector<proto::Letter> letters;
};

// NotFound: there is no such job. The letters of `number` alone, unless it is 0.
absl::StatusOr<LettersOfJob> Find(DriverDaemon* daemon, const std::string& name, int64_t batch_ms,
                                  uint32_t number) {
  const auto view = daemon->view();
  const auto job = std::find_if(view->jobs.jobs().begin(), view->jobs.jobs().end(),
                                [&](const auto& one) { return one.status().job() == name; });
  if (job == view->jobs.jobs().end()) {
    return absl::NotFoundError("no job of this name: " + name);
  }
  LettersOfJob found;
  found.where = StoreUrlOf(*daemon, *job);
  ASSIGN_OR_RETURN(const auto store, OpenObjectStore(found.where));
  ASSIGN_OR_RETURN(found.letters,
                   ReadLetters(store.get(), job->status().job_instance(), batch_ms));
  std::erase_if(found.letters, [&](const proto::Letter& letter) {
    return number != 0 && letter.number() != number;
  });
  return found;
}

proto::Outcome Refusal(std::string message) {
  proto::Outcome outcome;
  outcome.set_exit_code(kExitFailed);
  outcome.set_message(std::move(message));
  return outcome;
}

}  // namespace

grpc::Status DriverService::JobLetters(grpc::ServerContext*, const proto::JobRequest* request,
                                       grpc::ServerWriter<proto::LetterReply>* writer) {
  if (!daemon_->leads()) return Away(*daemon_);
  absl::StatusOr<LettersOfJob> found = Find(daemon_, request->name(), 0, 0);
  proto::LetterReply reply;
  if (!found.ok()) {
    *reply.mutable_outcome() = Refusal(std::string(Message(found.status())));
    writer->Write(reply);
    return grpc::Status::OK;
  }
  reply.set_where(found->where);
  for (proto::Letter& letter : found->letters) {
    *reply.mutable_letter() = std::move(letter);
    if (!writer->Write(reply)) break;
  }
  return grpc::Status::OK;
}

grpc::Status DriverService::ReplayLettersOf(grpc::ServerContext*,
                                            const proto::ReplayRequest* request,
                                            proto::JobReply* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  absl::StatusOr<LettersOfJob> found =
      Find(daemon_, request->name(), request->batch_ms(), request->number());
  if (!found.ok()) {
    *reply->mutable_outcome() = Refusal(std::string(Message(found.status())));
    return grpc::Status::OK;
  }
  ReplayWish wish;
  wish.job = request->name();
  wish.letters.set_request(request->request());
  for (proto::Letter& letter : found->letters) *wish.letters.add_letters() = std::move(letter);
  if (wish.letters.letters().empty()) {
    *reply->mutable_outcome() = Refusal("no such letters: " + found->where);
  } else if (wish.letters.ByteSizeLong() > kReplayBytesMax) {
    *reply->mutable_outcome() = Refusal("too many letters for one replay, name a batch: " +
                                        std::to_string(wish.letters.ByteSizeLong()) + " bytes");
  } else {
    *reply->mutable_outcome() = daemon_->Call([&](uint64_t number) {
      wish.request = number;
      return wish;
    });
  }
  return Answered(*daemon_, reply->outcome());
}

}  // namespace sluice::daemon
