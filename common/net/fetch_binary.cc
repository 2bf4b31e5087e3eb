#include "common/net/fetch_binary.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

#include "common/net/credentials.h"
#include "proto/client.grpc.pb.h"

namespace sluice {
namespace {

constexpr auto kFetchMax = std::chrono::minutes(5);

}  // namespace

absl::Status FetchBinary(const std::string& driver_address, const Security& security,
                         const std::string& digest, const BinarySink& sink) {
  auto stub = proto::Driver::NewStub(MakeChannel(driver_address, security));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kFetchMax);
  Authorize(context, driver_address, security, "");
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

}  // namespace sluice
