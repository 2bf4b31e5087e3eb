// `sluice push`: lines into a stream of a running job, each stored exactly once.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <random>

#include "common/status.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/push_client.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

constexpr size_t kWindowBatches = 16;

// Unique for ever. Not made from the input: the same lines pushed by two runs are two inputs
// unless the user says, with --producer, that they are one.
std::string NewProducer() {
  char host[64] = "host";
  gethostname(host, sizeof(host) - 1);
  std::random_device random;
  char suffix[20];
  std::snprintf(suffix, sizeof(suffix), "%08x%08x", random(), random());
  std::string name = std::string(host) + "-" + std::to_string(getpid()) + "-" + suffix;
  return name[0] == '.' ? "h" + name : name;
}

struct Plan {
  PushOptions push;
  int64_t batch = 1000;
  int fd = STDIN_FILENO;
};

absl::StatusOr<Plan> ReadTyped(const Typed& typed) {
  Plan plan;
  for (const char* flag : {"job", "stream"}) {
    if (!typed.Has(flag)) {
      return absl::InvalidArgumentError(std::string("needs --") + flag + "=NAME");
    }
    RETURN_IF_ERROR(CheckName(std::string(flag) + " name", typed.Get(flag)));
  }
  plan.push.job = typed.Get("job");
  plan.push.stream = typed.Get("stream");
  plan.push.producer = typed.Has("producer") ? typed.Get("producer") : NewProducer();
  RETURN_IF_ERROR(CheckName("producer id", plan.push.producer));
  ASSIGN_OR_RETURN(plan.batch,
                   ParseInteger("--batch", typed.Get("batch", "1000"), 1, 1'000'000));
  if (!typed.positional.empty() && typed.positional[0] != "-") {
    RETURN_IF_ERROR(CheckFile(typed.positional[0]));
    plan.fd = open(typed.positional[0].c_str(), O_RDONLY | O_CLOEXEC);
    if (plan.fd < 0) {
      return absl::InvalidArgumentError(std::string(std::strerror(errno)) + ": " +
                                        typed.positional[0]);
    }
  }
  return plan;
}

absl::StatusOr<int64_t> Push(const Typed& typed) {
  ASSIGN_OR_RETURN(Plan plan, ReadTyped(typed));
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  plan.push.security = client->security();
  if (!typed.Has("producer")) {
    std::cerr << "sluice: producer " << plan.push.producer
              << " (give --producer=ID to go on after a restart)" << std::endl;
  }
  const auto batch = static_cast<size_t>(plan.batch);
  PushWindow window({.batch_records = batch, .records_max = batch * kWindowBatches});
  bool was_away = false;
  auto find = [&]() -> absl::StatusOr<std::string> {
    auto reply = client->FindStream(plan.push.job, plan.push.stream);
    // The driver is on no running job's path: while it is away, so is the receiver's address.
    if (reply.status().code() == absl::StatusCode::kUnavailable) {
      if (!was_away) std::cerr << "sluice: " << Message(reply.status()) << "; trying again\n";
      was_away = true;
      return std::string();
    }
    RETURN_IF_ERROR(reply.status());
    was_away = false;
    if (reply->outcome().exit_code() != 0) return absl::NotFoundError(reply->outcome().message());
    return reply->push_address();
  };
  return PushLines(plan.fd, plan.push, &window, find);
}

}  // namespace

Command PushCommand() {
  Command command;
  command.name = "push";
  command.help =
      "Sends lines, of FILE or of standard input, into a stream of a running job, and ends when\n"
      "all are acknowledged: replicated and logged. Line k has number k; what is sent twice under\n"
      "one --producer is stored once.";
  command.positional = "[FILE]";
  command.positional_max = 1;
  command.flags = ClientFlags({{"job", "NAME", "of the job"},
                               {"stream", "NAME", "of its push stream"},
                               {"producer", "ID", "who sends; the same ID and input go on"},
                               {"batch", "1000", "records per message, or 1 MiB of them"}});
  command.run = [](const Typed& typed) {
    absl::StatusOr<int64_t> acknowledged = Push(typed);
    if (!acknowledged.ok()) return Fail(acknowledged.status());
    std::cout << "acknowledged " << *acknowledged << std::endl;
    return 0;
  };
  return command;
}

}  // namespace sluice::cli
