#include <grpcpp/grpcpp.h>

#include <chrono>

#include "common/net/credentials.h"
#include "proto/client.grpc.pb.h"
#include "worker/daemon/binary_cache.h"

namespace sluice {
namespace {

constexpr auto kFetchMax = std::chrono::minutes(5);

absl::Status FetchOver(grpc::Channel& channel, const Security& security,
                       const std::string& digest, const BinaryCache::Sink& sink) {
  auto stub = proto::Driver::NewStub(std::shared_ptr<grpc::Channel>(&channel, [](auto*) {}));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kFetchMax);
  Authorize(context, security, "");
  proto::BinaryRequest request;
  request.set_digest(digest);
  auto stream = stub->FetchBinary(&context, request);
  proto::BinaryChunk chunk;
  absl::Status status = absl::OkStatus();
  while (status.ok() && stream->Read(&chunk)) {
    if (chunk.outcome().exit_code() != 0) {
      status = absl::NotFoundError(chunk.outcome().message());
    } else {
      status = sink(chunk.data());
    }
  }
  if (!status.ok()) context.TryCancel();
  const grpc::Status end = stream->Finish();
  if (status.ok() && !end.ok()) {
    status = absl::UnavailableError("the driver did not send the binary: " + end.error_message());
  }
  return status;
}

}  // namespace

BinaryCache::Fetch FetchFromDriver(std::string driver_address, Security security) {
  return [driver_address, security](const std::string& digest, const BinaryCache::Sink& sink) {
    const auto channel = MakeChannel(driver_address, security);
    return FetchOver(*channel, security, digest, sink);
  };
}

}  // namespace sluice
