// The call of driver_service.h for a received block that a worker daemon holds.
#include <algorithm>

#include "common/exit_code.h"
#include "driver/daemon/driver_daemon.h"
#include "driver/daemon/driver_service.h"

namespace sluice::daemon {
namespace {

constexpr uint64_t kChunkBytes = uint64_t{1} << 20;
constexpr uint64_t kReadBytesMax = uint64_t{256} << 20;  // a block with one record of 64 MiB fits

// Empty: it may be read.
std::string Objection(const DriverDaemon& daemon, const proto::BlockRequest& request) {
  const auto view = daemon.view();
  const auto job = std::find_if(
      view->jobs.jobs().begin(), view->jobs.jobs().end(),
      [&](const auto& one) { return one.status().job() == request.job(); });
  if (job == view->jobs.jobs().end()) return "no job of this name: " + request.job();
  if (request.block().name().job_instance() != job->status().job_instance()) {
    return "a block of another job";
  }
  if (request.block().bytes() > kReadBytesMax) return "the block is too large to be read here";
  return "";
}

}  // namespace

grpc::Status DriverService::ReadBlock(grpc::ServerContext*, const proto::BlockRequest* request,
                                      grpc::ServerWriter<proto::BlockChunk>* writer) {
  if (!daemon_->leads()) return Away(*daemon_);
  proto::BlockChunk chunk;
  std::string objection = Objection(*daemon_, *request);
  std::optional<std::string> bytes;
  if (objection.empty()) {
    bytes = daemon_->ReadBlock(request->block(),
                               {request->holders().begin(), request->holders().end()});
    if (!bytes) objection = "no worker has it any more";
  }
  if (!objection.empty()) {
    chunk.mutable_outcome()->set_exit_code(kExitFailed);
    chunk.mutable_outcome()->set_message(std::move(objection));
    writer->Write(chunk);
    return grpc::Status::OK;
  }
  for (size_t offset = 0; offset < bytes->size(); offset += kChunkBytes) {
    chunk.set_data(bytes->substr(offset, kChunkBytes));
    if (!writer->Write(chunk)) break;
  }
  return grpc::Status::OK;
}

}  // namespace sluice::daemon
