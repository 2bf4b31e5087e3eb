// The calls of driver_service.h about letters: listing them, and having them run again.
#include <algorithm>
#include <memory>
#include <utility>

#include "checkpoint/letters.h"
#include "checkpoint/open_store.h"
#include "common/exit_code.h"
#include "common/status.h"
#include "driver/daemon/driver_daemon.h"
#include "driver/daemon/driver_service.h"

namespace sluice::daemon {
namespace {

constexpr uint64_t kReplayBytesMax = uint64_t{48} << 20;  // of one message

struct LetterStore {
  std::string where;
  uint64_t job_instance = 0;
  std::unique_ptr<ObjectStore> objects;
};

// Of a job. NotFound: there is no such job.
absl::StatusOr<LetterStore> Find(DriverDaemon* daemon, const std::string& name) {
  const auto view = daemon->view();
  const auto job = std::find_if(view->jobs.jobs().begin(), view->jobs.jobs().end(),
                                [&](const auto& one) { return one.status().job() == name; });
  if (job == view->jobs.jobs().end()) {
    return absl::NotFoundError("no job of this name: " + name);
  }
  LetterStore found{StoreUrlOf(*daemon, *job), job->status().job_instance(), nullptr};
  ASSIGN_OR_RETURN(found.objects, OpenObjectStore(found.where));
  return found;
}

// Adds to `letters` those that the request names, as far as a message takes them and one more.
absl::Status Gather(const LetterStore& store, const proto::ReplayRequest& request,
                    proto::ReplayLetters* letters) {
  uint64_t bytes = 0;
  return ForLetters(store.objects.get(), store.job_instance, request.batch_ms(),
                    [&](proto::Letter letter) {
                      if (request.number() != 0 && letter.number() != request.number()) return true;
                      bytes += letter.ByteSizeLong();
                      *letters->add_letters() = std::move(letter);
                      return bytes <= kReplayBytesMax;
                    });
}

proto::Outcome Refusal(std::string message) {
  proto::Outcome outcome;
  outcome.set_exit_code(kExitFailed);
  outcome.set_message(std::move(message));
  return outcome;
}

}  // namespace

grpc::Status DriverService::JobLetters(grpc::ServerContext* context,
                                       const proto::LettersRequest* request,
                                       grpc::ServerWriter<proto::LetterReply>* writer) {
  if (!daemon_->leads()) return Away(*daemon_);
  const absl::StatusOr<LetterStore> found = Find(daemon_, request->name());
  absl::Status status = found.status();
  if (found.ok()) {
    proto::LetterReply reply;
    reply.set_where(found->where);
    status = ForLetters(found->objects.get(), found->job_instance, request->batch_ms(),
                        [&](proto::Letter letter) {
                          *reply.mutable_letter() = std::move(letter);
                          return !context->IsCancelled() && writer->Write(reply);
                        });
  }
  if (status.ok()) return grpc::Status::OK;
  proto::LetterReply refusal;
  *refusal.mutable_outcome() = Refusal(std::string(Message(status)));
  writer->Write(refusal);
  return grpc::Status::OK;
}

grpc::Status DriverService::ReplayLettersOf(grpc::ServerContext*,
                                            const proto::ReplayRequest* request,
                                            proto::JobReply* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  const absl::StatusOr<LetterStore> found = Find(daemon_, request->name());
  ReplayWish wish;
  wish.job = request->name();
  wish.letters.set_request(request->request());
  const absl::Status status =
      found.ok() ? Gather(*found, *request, &wish.letters) : found.status();
  if (!status.ok()) {
    *reply->mutable_outcome() = Refusal(std::string(Message(status)));
    return grpc::Status::OK;
  }
  if (wish.letters.letters().empty()) {
    *reply->mutable_outcome() = Refusal("no such letters: " + found->where);
  } else if (wish.letters.ByteSizeLong() > kReplayBytesMax) {
    *reply->mutable_outcome() = Refusal("too many letters for one replay, name a batch: above " +
                                        std::to_string(kReplayBytesMax) + " bytes");
  } else {
    *reply->mutable_outcome() = daemon_->Call([&](uint64_t number) {
      wish.request = number;
      return wish;
    });
  }
  return Answered(*daemon_, reply->outcome());
}

}  // namespace sluice::daemon
