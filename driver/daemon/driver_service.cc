#include "driver/daemon/driver_service.h"

#include <fcntl.h>
#include <unistd.h>

#include <random>

#include "checkpoint/checkpoint_report.h"
#include "checkpoint/open_store.h"
#include "common/exit_code.h"
#include "common/exit_status.h"
#include "common/role_flags.h"
#include "common/status.h"
#include "driver/daemon/driver_daemon.h"
#include "driver/daemon/submission.h"

namespace sluice::daemon {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr uint64_t kReportEvery = 4 << 20;
constexpr int64_t kLookMs = 200;  // how often a call that stays looks for its client

proto::Outcome Refusal(int exit_code, const std::string& message) {
  proto::Outcome outcome;
  outcome.set_exit_code(exit_code);
  outcome.set_message(message);
  return outcome;
}

proto::Outcome Refusal(const absl::Status& status) {
  // Statuses of one submission's own checks; a full disk or a broken upload is the daemon's.
  int code = ExitCodeOf(status.code());
  if (code != kExitUsage && code != kExitRefused) code = kExitFailed;
  return Refusal(code, std::string(Message(status)));
}

const proto::JobInfo* FindJob(const DriverDaemon::View& view, const std::string& name) {
  for (const proto::JobInfo& job : view.jobs.jobs()) {
    if (job.status().job() == name) return &job;
  }
  return nullptr;
}

std::string RandomHex() {
  std::random_device random;
  char text[20];
  std::snprintf(text, sizeof(text), "%08x%08x", random(), random());
  return text;
}

}  // namespace

// Of the job's run; on another node where the job driver runs there.
static std::string FolderOf(const DriverDaemon& daemon, const proto::JobInfo& job) {
  return job.folder().empty() ? daemon.folder().RunFolder(job.status().job(), job.run())
                              : job.folder();
}

grpc::Status Away(const DriverDaemon& daemon, const std::string& why) {
  const std::string leader = daemon.leader().address;
  const std::string who =
      leader.empty() ? "; which driver leads is not known" : "; " + leader + " leads";
  return grpc::Status(grpc::StatusCode::UNAVAILABLE,
                      (why.empty() ? "this driver stands by" : why) + who);
}

grpc::Status Answered(const DriverDaemon& daemon, const proto::Outcome& outcome) {
  return outcome.exit_code() == kExitUnreachable ? Away(daemon, outcome.message())
                                                 : grpc::Status::OK;
}

grpc::Status DriverService::Leader(grpc::ServerContext*, const proto::ListRequest*,
                                   proto::LeaderReply* reply) {
  const DriverDaemon::Leader leader = daemon_->AskLeader();
  reply->set_leads(leader.self);
  reply->set_address(leader.address);
  return grpc::Status::OK;
}

std::string StoreUrlOf(const DriverDaemon& daemon, const proto::JobInfo& job) {
  if (!job.checkpoint().empty()) return job.checkpoint();
  return "rocksdb:" + FolderOf(daemon, job) + "/store";
}

using SubmitStream = grpc::ServerReaderWriter<proto::SubmitReply, proto::SubmitChunk>;

// Takes the bytes of what the store does not hold yet.
static absl::Status TakeParts(const proto::JobSpec& spec, BinaryStore* store,
                              SubmitStream* stream) {
  Intake intake(store, spec);
  proto::SubmitReply reply;
  *reply.mutable_missing() = intake.missing();
  stream->Write(reply);
  if (intake.missing().parts_size() == 0) return absl::OkStatus();
  proto::SubmitChunk chunk;
  uint64_t reported = 0;
  while (stream->Read(&chunk)) {
    RETURN_IF_ERROR(intake.Take(chunk.data()));
    if (intake.received() - reported < kReportEvery) continue;
    reported = intake.received();
    reply.set_received(reported);
    stream->Write(reply);
  }
  return intake.Finish();
}

grpc::Status DriverService::Submit(grpc::ServerContext*, SubmitStream* stream) {
  if (!daemon_->leads()) return Away(*daemon_);
  proto::SubmitChunk chunk;
  if (!stream->Read(&chunk) || !chunk.has_header()) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "a submission begins with its header");
  }
  const proto::JobSpec spec = chunk.header();
  std::vector<std::string> digests = {spec.binary_digest()};
  for (const auto& file : spec.files()) digests.push_back(file.digest());
  const BinaryStore::Hold hold(&daemon_->binaries(), std::move(digests));  // until the job is known
  proto::SubmitReply reply;
  absl::Status status = CheckSpec(spec);
  auto view = daemon_->view();
  const proto::JobInfo* former = FindJob(*view, spec.name());
  if (status.ok() && former != nullptr && !former->ended()) {
    status = absl::FailedPreconditionError(
        "a job of this name is running already; drain or cancel it first: " + spec.name());
  }
  if (status.ok()) status = TakeParts(spec, &daemon_->binaries(), stream);
  if (status.ok()) {
    status = Annotate(daemon_->Probe(spec.binary_digest()), spec.binary_name());
  }
  if (!status.ok()) {
    *reply.mutable_outcome() = Refusal(status);
  } else {
    *reply.mutable_outcome() = daemon_->Call([&](uint64_t request) {
      return SubmitJob{request, spec, RandomHex(), RealClock().WallMs()};
    });
  }
  if (grpc::Status away = Answered(*daemon_, reply.outcome()); !away.ok()) return away;
  stream->Write(reply);
  return grpc::Status::OK;
}

grpc::Status DriverService::WatchJob(grpc::ServerContext* context,
                                     const proto::JobRequest* request,
                                     grpc::ServerWriter<proto::JobReply>* writer) {
  if (!daemon_->leads()) return Away(*daemon_);
  auto view = daemon_->view();
  std::string last;
  while (!context->IsCancelled() && !daemon_->ending()) {
    if (!daemon_->leads()) return Away(*daemon_);
    const proto::JobInfo* job = FindJob(*view, request->name());
    proto::JobReply reply;
    if (job == nullptr) {
      *reply.mutable_outcome() = Refusal(kExitFailed, "no job of this name: " + request->name());
    } else {
      *reply.mutable_job() = *job;
    }
    std::string bytes = reply.SerializeAsString();
    if (bytes != last && !writer->Write(reply)) break;
    last = std::move(bytes);
    if (job == nullptr || job->ended()) break;
    std::shared_ptr<const DriverDaemon::View> newer;
    while (newer == nullptr && !context->IsCancelled() && !daemon_->ending() && daemon_->leads()) {
      newer = daemon_->AwaitNewer(view->version, kLookMs);
    }
    if (newer != nullptr) view = std::move(newer);
  }
  return grpc::Status::OK;
}

grpc::Status DriverService::ListJobs(grpc::ServerContext*, const proto::ListRequest*,
                                     proto::JobList* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  *reply = daemon_->view()->jobs;
  return grpc::Status::OK;
}

grpc::Status DriverService::ListWorkers(grpc::ServerContext*, const proto::ListRequest*,
                                        proto::WorkerList* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  *reply = daemon_->view()->workers;
  return grpc::Status::OK;
}

grpc::Status DriverService::JobStatusOf(grpc::ServerContext*, const proto::JobRequest* request,
                                        proto::JobReply* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  auto view = daemon_->view();
  if (const proto::JobInfo* job = FindJob(*view, request->name())) {
    *reply->mutable_job() = *job;
    reply->mutable_job()->set_store(StoreUrlOf(*daemon_, *job));
    if (auto spec = daemon_->SpecOf(request->name())) {
      const auto path = daemon_->binaries().PathOf(spec->binary_digest());
      if (path.ok()) reply->mutable_job()->set_program(*path);
      *reply->mutable_job()->mutable_spec() = *std::move(spec);
    }
  } else {
    *reply->mutable_outcome() = Refusal(kExitFailed, "no job of this name: " + request->name());
  }
  return grpc::Status::OK;
}

grpc::Status DriverService::DrainJob(grpc::ServerContext*, const proto::JobRequest* request,
                                     proto::JobReply* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  *reply->mutable_outcome() = daemon_->Call([&](uint64_t number) {
    return StopJob{number, request->name(), /*drain=*/true, request->deadline_ms()};
  });
  return Answered(*daemon_, reply->outcome());
}

grpc::Status DriverService::CancelJob(grpc::ServerContext*, const proto::JobRequest* request,
                                      proto::JobReply* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  *reply->mutable_outcome() = daemon_->Call([&](uint64_t number) {
    return StopJob{number, request->name(), /*drain=*/false, request->deadline_ms()};
  });
  return Answered(*daemon_, reply->outcome());
}

grpc::Status DriverService::AcceptLossOf(grpc::ServerContext*, const proto::JobRequest* request,
                                         proto::JobReply* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  *reply->mutable_outcome() = daemon_->Call(
      [&](uint64_t number) { return AcceptJobLoss{number, request->name()}; });
  return Answered(*daemon_, reply->outcome());
}

grpc::Status DriverService::DrainWorkerOf(grpc::ServerContext*,
                                          const proto::WorkerRequest* request,
                                          proto::JobReply* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  *reply->mutable_outcome() = daemon_->Call([&](uint64_t number) {
    return DrainWorkerWish{number, request->id(), request->deadline_ms()};
  });
  return Answered(*daemon_, reply->outcome());
}

grpc::Status DriverService::JobCheckpoints(grpc::ServerContext*, const proto::JobRequest* request,
                                           proto::CheckpointList* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  auto view = daemon_->view();
  const proto::JobInfo* job = FindJob(*view, request->name());
  if (job == nullptr) {
    *reply->mutable_outcome() = Refusal(kExitFailed, "no job of this name: " + request->name());
    return grpc::Status::OK;
  }
  const std::string url = StoreUrlOf(*daemon_, *job);
  auto store = OpenObjectStore(url);
  auto rows = store.ok() ? ReportCheckpoints(store->get())
                         : absl::StatusOr<std::vector<CheckpointReport>>(store.status());
  if (!rows.ok()) {
    *reply->mutable_outcome() = Refusal(kExitFailed, std::string(Message(rows.status())));
    return grpc::Status::OK;
  }
  reply->set_where(url);
  for (const CheckpointReport& row : *rows) {
    auto& out = *reply->add_checkpoints();
    out.set_name(row.name);
    out.set_sequence(row.sequence);
    out.set_batch_ms(row.batch_ms);
    out.set_decided_slot(row.decided_slot);
    out.set_parts(row.parts);
    out.set_bytes(row.bytes);
    out.set_damage(row.damage);
  }
  return grpc::Status::OK;
}

// Sends [*offset, end of file) of `path`; false when the client is gone.
static bool SendFile(const std::string& path, uint64_t* offset,
                     grpc::ServerWriter<proto::LogChunk>* writer) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return true;
  if (static_cast<uint64_t>(lseek(fd, 0, SEEK_END)) < *offset) *offset = 0;  // begun anew
  std::string buffer(kChunkBytes, '\0');
  bool open = true;
  ssize_t got = 0;
  while (open && (got = pread(fd, buffer.data(), buffer.size(), *offset)) > 0) {
    proto::LogChunk chunk;
    chunk.set_data(buffer.data(), got);
    *offset += got;
    open = writer->Write(chunk);
  }
  close(fd);
  return open;
}

grpc::Status DriverService::JobLogs(grpc::ServerContext* context, const proto::LogRequest* request,
                                    grpc::ServerWriter<proto::LogChunk>* writer) {
  if (!daemon_->leads()) return Away(*daemon_);
  auto view = daemon_->view();
  const proto::JobInfo* job = FindJob(*view, request->name());
  if (job == nullptr) {
    proto::LogChunk chunk;
    *chunk.mutable_outcome() = Refusal(kExitFailed, "no job of this name: " + request->name());
    writer->Write(chunk);
    return grpc::Status::OK;
  }
  // The job's name was looked up among ours, never taken as a path.
  const std::string folder = FolderOf(*daemon_, *job);
  std::string path = folder + "/" + kOutputFile;
  if (!job->host().empty() && access(folder.c_str(), F_OK) != 0) {
    proto::LogChunk chunk;
    *chunk.mutable_outcome() = Refusal(kExitFailed, "what the job printed is on the node " +
                                                        job->host() + ", where its driver ran");
    writer->Write(chunk);
    return grpc::Status::OK;
  }
  uint64_t older = 0, offset = 0;
  bool open = SendFile(path + ".1", &older, writer);
  while (open) {
    auto before = daemon_->view();
    const proto::JobInfo* now = FindJob(*before, request->name());
    bool last = !request->follow() || now == nullptr || now->ended() || daemon_->ending() ||
                !daemon_->leads();
    open = SendFile(path, &offset, writer) && !last && !context->IsCancelled();
    if (open) daemon_->AwaitNewer(before->version, kLookMs);
  }
  return grpc::Status::OK;
}

grpc::Status DriverService::FetchBinary(grpc::ServerContext*, const proto::BinaryRequest* request,
                                        grpc::ServerWriter<proto::BinaryChunk>* writer) {
  auto path = daemon_->binaries().PathOf(request->digest());
  proto::BinaryChunk chunk;
  if (!path.ok()) {
    *chunk.mutable_outcome() = Refusal(path.status());
    writer->Write(chunk);
    return grpc::Status::OK;
  }
  int fd = open(path->c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return grpc::Status(grpc::StatusCode::INTERNAL, "cannot open the binary");
  std::string buffer(kChunkBytes, '\0');
  ssize_t got = 0;
  bool open = true;
  while (open && (got = read(fd, buffer.data(), buffer.size())) > 0) {
    chunk.set_data(buffer.data(), got);
    open = writer->Write(chunk);
  }
  close(fd);
  return got < 0 ? grpc::Status(grpc::StatusCode::INTERNAL, "cannot read the binary")
                 : grpc::Status::OK;
}

grpc::Status DriverService::FindStream(grpc::ServerContext*,
                                       const proto::FindStreamRequest* request,
                                       proto::FindStreamReply* reply) {
  if (!daemon_->leads()) return Away(*daemon_);
  *reply = daemon_->FindStream(request->job(), request->stream());
  return grpc::Status::OK;
}

}  // namespace sluice::daemon
