// A connection to the driver daemon, and what every client command shares: flags, errors, exits.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/net/security.h"
#include "proto/client.pb.h"
#include "sluice/cli/command_line.h"

namespace sluice::cli {

// --driver, --connect-timeout and those of security, in front of a command's own.
std::vector<Flag> ClientFlags(std::vector<Flag> own);
std::vector<Flag> SecurityFlags();
Flag OutputFlag();  // -o json

absl::StatusOr<Security> SecurityOf(const Typed& typed);
// Where the driver is, or several that stand by for each other, joined by commas: InvalidArgument
// when neither the flag nor SLUICE_DRIVER says.
absl::StatusOr<std::string> DriverAddressOf(const Typed& typed);
// True for -o json.
absl::StatusOr<bool> WantsJson(const Typed& typed);

// Says why on standard error in one line, and gives the exit code.
int Fail(const absl::Status& status);
int Fail(int exit_code, const std::string& message);

// One thread at a time. Calls give Unavailable (exit code 4) when the driver daemon is away.
class Client {
 public:
  // Waits for the connection, at most --connect-timeout.
  // Where drivers stand by for each other: the connection to the one that leads.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const Typed& typed);
  ~Client();

  absl::Status ListJobs(proto::JobList* jobs);
  absl::Status ListWorkers(proto::WorkerList* workers);
  absl::StatusOr<proto::JobInfo> JobStatus(const std::string& name);
  enum class Wish { kDrain, kCancel, kAcceptLoss };
  absl::StatusOr<proto::Outcome> Ask(Wish wish, const std::string& name, uint64_t deadline_ms);
  // Calls `seen` with every change of the job until it says true (then OK) or the job's end.
  // Connects anew when the daemon goes away and comes back within the connect timeout.
  absl::Status Watch(const std::string& name,
                     const std::function<bool(const proto::JobInfo&)>& seen);
  absl::StatusOr<proto::CheckpointList> Checkpoints(const std::string& job);
  absl::Status Letters(const proto::LettersRequest& request,
                       const std::function<void(const proto::LetterReply&)>& seen);
  absl::StatusOr<proto::Outcome> Replay(const proto::ReplayRequest& request);
  // The encoded record batch, from one of the workers with these ids. Checked to be the block's.
  absl::StatusOr<std::string> ReadBlock(const std::string& job, const proto::BlockInfo& block,
                                        const std::vector<std::string>& holders);
  absl::Status DrainWorker(const std::string& id, uint64_t deadline_ms);
  absl::Status Logs(const std::string& name, bool follow,
                    const std::function<void(const proto::LogChunk&)>& seen);
  absl::StatusOr<proto::FindStreamReply> FindStream(const std::string& job,
                                                    const std::string& stream);
  // `paths`: the binary, then the files, as `spec` names them. `progress` hears of bytes sent and
  // bytes in all.
  absl::StatusOr<proto::Outcome> Submit(const proto::JobSpec& spec,
                                        const std::vector<std::string>& paths,
                                        const std::function<void(uint64_t, uint64_t)>& progress);

  const Security& security() const { return security_; }
  const std::string& address() const { return address_; }

 private:
  struct Grpc;
  Client(const std::string& addresses, Security security, int64_t timeout_ms);
  // The connection to the one that leads.
  absl::Status Await(int64_t timeout_ms);
  void Use(const std::string& address);
  // Whether `address_` leads. OK too when it does not say, or lets nobody ask.
  absl::Status AskWhoLeads(std::string* leader);

  std::vector<std::string> addresses_;  // that were given, and that others named
  std::string address_;                 // in use
  const Security security_;
  const int64_t timeout_ms_;
  std::unique_ptr<Grpc> grpc_;
};

// Exit code of an ended job, its last line said.
int ExitOfJob(const proto::JobInfo& job);

}  // namespace sluice::cli
