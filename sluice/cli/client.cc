#include "sluice/cli/client.h"

#include <grpcpp/grpcpp.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numeric>
#include <thread>

#include "common/crc32c.h"
#include "common/exit_status.h"
#include "common/net/credentials.h"
#include "common/status.h"
#include "proto/client.grpc.pb.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr int kPlainConnectMs = 500;
constexpr int64_t kOneOfSeveralMs = 1'000;  // for a connection, where there are others to try
constexpr int64_t kAskMs = 2'000;
constexpr int64_t kAskAgainMs = 100;

std::string FlagOrVariable(const Typed& typed, const std::string& flag, const char* variable) {
  const char* value = std::getenv(variable);
  return typed.Get(flag, value == nullptr ? "" : value);
}

// The deadline of a call is that of reaching the driver.
absl::Status FromGrpc(const grpc::Status& status, const std::string& address) {
  if (status.ok()) return absl::OkStatus();
  std::string text = status.error_message();
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return absl::UnavailableError("the driver at " + address + " does not answer");
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    text = "lost the driver at " + address + ": " + text;
  } else if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) {
    text = "not authenticated at " + address + ": " + text;
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), text);
}

absl::Status FromOutcome(const proto::Outcome& outcome) {
  switch (outcome.exit_code()) {
    case kExitOk: return absl::OkStatus();
    case kExitUsage: return absl::InvalidArgumentError(outcome.message());
    case kExitRefused: return absl::FailedPreconditionError(outcome.message());
    case kExitDeadline: return absl::DeadlineExceededError(outcome.message());
    default: return absl::NotFoundError(outcome.message());
  }
}

std::vector<std::string> Split(const std::string& addresses) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= addresses.size();) {
    const size_t end = std::min(addresses.find(',', begin), addresses.size());
    parts.push_back(addresses.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Whether a plain connection is accepted. Only to say why nothing else came of it.
bool SomebodyListens(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0) {
    return false;
  }
  bool accepted = false;
  for (const addrinfo* at = found; at != nullptr && !accepted; at = at->ai_next) {
    const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    accepted = connect(fd, at->ai_addr, at->ai_addrlen) == 0;
    pollfd writable = {fd, POLLOUT, 0};
    if (!accepted && errno == EINPROGRESS && poll(&writable, 1, kPlainConnectMs) == 1) {
      int error = 0;
      socklen_t size = sizeof(error);
      accepted = getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
    }
    close(fd);
  }
  freeaddrinfo(found);
  return accepted;
}

}  // namespace

std::vector<Flag> SecurityFlags() {
  return {{"tls-cert", "FILE", "certificate of this process"},
          {"tls-key", "FILE", "its key, mode 0600"},
          {"tls-ca", "FILE", "certificates of those to trust"},
          {"token-file", "FILE", "the cluster's token, mode 0600"},
          {"insecure", "", "talk over any network without TLS and token"}};
}

std::vector<Flag> ClientFlags(std::vector<Flag> own) {
  own.push_back({"driver", "HOST:PORT", "where the driver is, or several; or SLUICE_DRIVER"});
  own.push_back({"connect-timeout", "10s", "how long to try to reach it"});
  for (Flag& flag : SecurityFlags()) own.push_back(flag);
  return own;
}

Flag OutputFlag() { return {"o", "json", "one JSON object per row instead of a table"}; }

absl::StatusOr<Security> SecurityOf(const Typed& typed) {
  SecurityOptions options;
  options.tls_cert = FlagOrVariable(typed, "tls-cert", "SLUICE_TLS_CERT");
  options.tls_key = FlagOrVariable(typed, "tls-key", "SLUICE_TLS_KEY");
  options.tls_ca = FlagOrVariable(typed, "tls-ca", "SLUICE_TLS_CA");
  options.token_file = FlagOrVariable(typed, "token-file", "SLUICE_TOKEN_FILE");
  options.insecure = typed.Has("insecure");
  return LoadSecurity(options);
}

absl::StatusOr<std::string> DriverAddressOf(const Typed& typed) {
  std::string address = FlagOrVariable(typed, "driver", "SLUICE_DRIVER");
  if (address.empty()) {
    return absl::InvalidArgumentError("no driver given: use --driver=HOST:PORT or SLUICE_DRIVER");
  }
  for (const std::string& one : Split(address)) {
    RETURN_IF_ERROR(ParseHostPort("--driver", one, /*zero_allowed=*/false).status());
  }
  return address;
}

absl::StatusOr<bool> WantsJson(const Typed& typed) {
  std::string format = typed.Get("o", "table");
  if (format == "json" || format == "table") return format == "json";
  return absl::InvalidArgumentError("unknown format of -o, expected json or table: " + format);
}

int Fail(int exit_code, const std::string& message) {
  std::cerr << "sluice: " << message << std::endl;
  return exit_code;
}

int Fail(const absl::Status& status) {
  return Fail(ExitCodeOf(status.code()), std::string(Message(status)));
}

int ExitOfJob(const proto::JobInfo& job) {
  const proto::JobStatus& status = job.status();
  if (status.exit_code() == kExitOk && status.state() != "FAILED") {
    std::cout << status.job() << " " << status.state() << std::endl;
    return kExitOk;
  }
  std::string why = status.failure().empty() ? "" : ": " + status.failure();
  return Fail(status.exit_code() == kExitOk ? kExitFailed : status.exit_code(),
              "job " + status.job() + " " + status.state() + why);
}

struct Client::Grpc {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<proto::Driver::Stub> stub;
};

// One call's context, with what we present to the door.
struct Call {
  Call(const std::string& address, const Security& security) {
    Authorize(context, address, security, "");
  }
  Call(const std::string& address, const Security& security, int64_t timeout_ms)
      : Call(address, security) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
  }
  grpc::ClientContext context;
};

Client::Client(const std::string& addresses, Security security, int64_t timeout_ms)
    : addresses_(Split(addresses)),
      security_(std::move(security)),
      timeout_ms_(timeout_ms),
      grpc_(std::make_unique<Grpc>()) {
  Use(addresses_.front());
}

void Client::Use(const std::string& address) {
  if (address == address_) return;
  address_ = address;
  grpc_->channel = MakeChannel(address_, security_);
  grpc_->stub = proto::Driver::NewStub(grpc_->channel);
}

Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const Typed& typed) {
  ASSIGN_OR_RETURN(std::string address, DriverAddressOf(typed));
  ASSIGN_OR_RETURN(int64_t timeout_ms,
                   ParseDurationMs("--connect-timeout", typed.Get("connect-timeout", "10s")));
  ASSIGN_OR_RETURN(Security security, SecurityOf(typed));
  std::unique_ptr<Client> client(new Client(address, std::move(security), timeout_ms));
  RETURN_IF_ERROR(client->Await(timeout_ms));
  return client;
}

absl::Status Client::AskWhoLeads(std::string* leader) {
  Call call(address_, security_, kAskMs);
  proto::LeaderReply reply;
  const grpc::Status status = grpc_->stub->Leader(&call.context, {}, &reply);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return absl::UnavailableError("the driver at " + address_ + " does not answer");
  }
  if (!status.ok() || reply.leads()) return absl::OkStatus();
  *leader = reply.address();
  return absl::UnavailableError("the driver at " + address_ + " stands by" +
                                (leader->empty() ? "; which one leads is not known"
                                                 : ", and " + *leader + " does not answer"));
}

absl::Status Client::Await(int64_t timeout_ms) {
  using Clock = std::chrono::system_clock;
  const auto until = Clock::now() + std::chrono::milliseconds(timeout_ms);
  absl::Status last;
  size_t at = static_cast<size_t>(
      std::find(addresses_.begin(), addresses_.end(), address_) - addresses_.begin());
  do {
    const bool only = addresses_.size() == 1;
    const auto one = Clock::now() + std::chrono::milliseconds(kOneOfSeveralMs);
    std::string leader;
    last = absl::OkStatus();
    if (grpc_->channel->WaitForConnected(only ? until : std::min(one, until))) {
      last = AskWhoLeads(&leader);
      if (last.ok()) return last;
      std::this_thread::sleep_for(std::chrono::milliseconds(kAskAgainMs));
    }
    auto next = std::find(addresses_.begin(), addresses_.end(), leader);
    if (next == addresses_.end() && !leader.empty()) {
      next = addresses_.insert(addresses_.end(), leader);
    }
    at = next == addresses_.end() ? (at + 1) % addresses_.size()
                                  : static_cast<size_t>(next - addresses_.begin());
    Use(addresses_[at]);
  } while (Clock::now() < until);
  if (!last.ok()) return last;
  std::string text = "cannot reach the driver within " + std::to_string(timeout_ms) + " ms";
  if (SomebodyListens(address_)) {
    text += security_.tls() ? "; something listens there, but not with TLS and a certificate that "
                              "--tls-ca knows"
                            : "; something listens there, but it does not answer without TLS: "
                              "is --tls-ca missing?";
  }
  return absl::UnavailableError(text + ": " + address_);
}

absl::Status Client::ListJobs(proto::JobList* jobs) {
  Call call(address_, security_, timeout_ms_);
  return FromGrpc(grpc_->stub->ListJobs(&call.context, {}, jobs), address_);
}

absl::Status Client::ListWorkers(proto::WorkerList* workers) {
  Call call(address_, security_, timeout_ms_);
  return FromGrpc(grpc_->stub->ListWorkers(&call.context, {}, workers), address_);
}

absl::StatusOr<proto::JobInfo> Client::JobStatus(const std::string& name) {
  Call call(address_, security_, timeout_ms_);
  proto::JobRequest request;
  request.set_name(name);
  proto::JobReply reply;
  RETURN_IF_ERROR(FromGrpc(grpc_->stub->JobStatusOf(&call.context, request, &reply), address_));
  RETURN_IF_ERROR(FromOutcome(reply.outcome()));
  return reply.job();
}

absl::StatusOr<proto::Outcome> Client::Ask(Wish wish, const std::string& name,
                                           uint64_t deadline_ms) {
  Call call(address_, security_, timeout_ms_);
  proto::JobRequest request;
  request.set_name(name);
  request.set_deadline_ms(deadline_ms);
  proto::JobReply reply;
  grpc::Status status;
  if (wish == Wish::kDrain) status = grpc_->stub->DrainJob(&call.context, request, &reply);
  if (wish == Wish::kCancel) status = grpc_->stub->CancelJob(&call.context, request, &reply);
  if (wish == Wish::kAcceptLoss) {
    status = grpc_->stub->AcceptLossOf(&call.context, request, &reply);
  }
  RETURN_IF_ERROR(FromGrpc(status, address_));
  return reply.outcome();
}

absl::StatusOr<proto::CheckpointList> Client::Checkpoints(const std::string& job) {
  Call call(address_, security_, timeout_ms_);
  proto::JobRequest request;
  request.set_name(job);
  proto::CheckpointList list;
  RETURN_IF_ERROR(FromGrpc(grpc_->stub->JobCheckpoints(&call.context, request, &list), address_));
  RETURN_IF_ERROR(FromOutcome(list.outcome()));
  return list;
}

absl::Status Client::Letters(const proto::LettersRequest& request,
                             const std::function<void(const proto::LetterReply&)>& seen) {
  Call call(address_, security_);
  auto reader = grpc_->stub->JobLetters(&call.context, request);
  proto::LetterReply reply;
  while (reader->Read(&reply)) {
    RETURN_IF_ERROR(FromOutcome(reply.outcome()));
    seen(reply);
  }
  return FromGrpc(reader->Finish(), address_);
}

absl::StatusOr<proto::Outcome> Client::Replay(const proto::ReplayRequest& request) {
  Call call(address_, security_, timeout_ms_);
  proto::JobReply reply;
  RETURN_IF_ERROR(
      FromGrpc(grpc_->stub->ReplayLettersOf(&call.context, request, &reply), address_));
  return reply.outcome();
}

absl::StatusOr<std::string> Client::ReadBlock(const std::string& job,
                                              const proto::BlockInfo& block,
                                              const std::vector<std::string>& holders) {
  Call call(address_, security_);
  proto::BlockRequest request;
  request.set_job(job);
  *request.mutable_block() = block;
  request.mutable_holders()->Add(holders.begin(), holders.end());
  auto reader = grpc_->stub->ReadBlock(&call.context, request);
  std::string bytes;
  proto::BlockChunk chunk;
  while (reader->Read(&chunk)) {
    RETURN_IF_ERROR(FromOutcome(chunk.outcome()));
    bytes += chunk.data();
  }
  RETURN_IF_ERROR(FromGrpc(reader->Finish(), address_));
  if (bytes.size() == block.bytes() && Crc32c(bytes) == block.crc32c()) return bytes;
  return absl::DataLossError("it came with other bytes than were announced");
}

absl::Status Client::DrainWorker(const std::string& id, uint64_t deadline_ms) {
  Call call(address_, security_, timeout_ms_);
  proto::WorkerRequest request;
  request.set_id(id);
  request.set_deadline_ms(deadline_ms);
  proto::JobReply reply;
  RETURN_IF_ERROR(FromGrpc(grpc_->stub->DrainWorkerOf(&call.context, request, &reply), address_));
  return FromOutcome(reply.outcome());
}

absl::Status Client::Watch(const std::string& name,
                           const std::function<bool(const proto::JobInfo&)>& seen) {
  while (true) {
    Call call(address_, security_);
    proto::JobRequest request;
    request.set_name(name);
    auto reader = grpc_->stub->WatchJob(&call.context, request);
    proto::JobReply reply;
    while (reader->Read(&reply)) {
      RETURN_IF_ERROR(FromOutcome(reply.outcome()));
      if (!seen(reply.job()) && !reply.job().ended()) continue;
      call.context.TryCancel();
      reader->Finish();
      return absl::OkStatus();
    }
    grpc::Status status = reader->Finish();
    bool away = status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (!away) return FromGrpc(status, address_);
    RETURN_IF_ERROR(Await(timeout_ms_));
  }
}

absl::Status Client::Logs(const std::string& name, bool follow,
                          const std::function<void(const proto::LogChunk&)>& seen) {
  Call call(address_, security_);
  proto::LogRequest request;
  request.set_name(name);
  request.set_follow(follow);
  auto reader = grpc_->stub->JobLogs(&call.context, request);
  proto::LogChunk chunk;
  while (reader->Read(&chunk)) {
    RETURN_IF_ERROR(FromOutcome(chunk.outcome()));
    seen(chunk);
  }
  return FromGrpc(reader->Finish(), address_);
}

absl::StatusOr<proto::FindStreamReply> Client::FindStream(const std::string& job,
                                                          const std::string& stream) {
  Call call(address_, security_, timeout_ms_);
  proto::FindStreamRequest request;
  request.set_job(job);
  request.set_stream(stream);
  proto::FindStreamReply reply;
  const absl::Status found =
      FromGrpc(grpc_->stub->FindStream(&call.context, request, &reply), address_);
  if (absl::IsUnavailable(found)) (void)Await(kOneOfSeveralMs);  // so that the next try goes there
  RETURN_IF_ERROR(found);
  return reply;
}

absl::StatusOr<proto::Outcome> Client::Submit(
    const proto::JobSpec& spec, const std::vector<std::string>& paths,
    const std::function<void(uint64_t, uint64_t)>& progress) {
  Call call(address_, security_);
  auto stream = grpc_->stub->Submit(&call.context);
  proto::SubmitChunk chunk;
  *chunk.mutable_header() = spec;
  stream->Write(chunk);
  proto::SubmitReply reply;
  bool answered = stream->Read(&reply);
  if (answered && reply.has_missing()) {
    std::vector<uint64_t> sizes = {spec.binary_size()};
    for (const auto& file : spec.files()) sizes.push_back(file.size());
    uint64_t total = 0, sent = 0;
    for (uint32_t part : reply.missing().parts()) total += sizes.at(part);
    std::string buffer(kChunkBytes, '\0');
    bool open = true;
    for (uint32_t part : reply.missing().parts()) {
      std::ifstream file(paths.at(part), std::ios::binary);
      while (open && file.read(buffer.data(), buffer.size()), open && file.gcount() > 0) {
        chunk.set_data(buffer.substr(0, file.gcount()));
        sent += file.gcount();
        open = stream->Write(chunk);
        progress(sent, total);
      }
    }
  }
  stream->WritesDone();
  while (answered && !reply.has_outcome()) answered = stream->Read(&reply);
  bool decided = answered && reply.has_outcome();
  grpc::Status status = stream->Finish();
  if (decided) return reply.outcome();
  RETURN_IF_ERROR(FromGrpc(status, address_));
  return absl::UnavailableError("the driver said nothing about the submission: " + address_);
}

}  // namespace sluice::cli
