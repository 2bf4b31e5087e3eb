// `sluice job letters NAME`: lists the records that were set aside, and has them run again.
#include <chrono>
#include <iostream>
#include <optional>
#include <random>

#include "common/status.h"
#include "driver/daemon/status_json.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/table.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kAskAgain{2};
constexpr int kAsksMax = 15;

// Which letters: all, those of a batch, or one.
struct Which {
  int64_t batch_ms = 0;
  int64_t number = 0;
  bool Has(const proto::Letter& letter) const {
    return (batch_ms == 0 || letter.batch_ms() == batch_ms) &&
           (number == 0 || letter.number() == number);
  }
};

// --batch=MS, --letter=MS-NUMBER.
absl::StatusOr<Which> ParseWhich(const Typed& typed) {
  Which which;
  if (typed.Has("batch")) {
    ASSIGN_OR_RETURN(which.batch_ms, ParseInteger("--batch", typed.Get("batch"), 1, INT64_MAX));
  }
  if (!typed.Has("letter")) return which;
  const std::string letter = typed.Get("letter");
  const size_t dash = letter.find('-');
  if (dash == letter.npos) {
    return absl::InvalidArgumentError("malformed --letter, expected BATCH_MS-NUMBER: " + letter);
  }
  ASSIGN_OR_RETURN(which.batch_ms,
                   ParseInteger("--letter", letter.substr(0, dash), 1, INT64_MAX));
  ASSIGN_OR_RETURN(which.number, ParseInteger("--letter", letter.substr(dash + 1), 1, UINT32_MAX));
  return which;
}

// Bytes as text on one line, at most so many.
std::string Shown(const std::string& bytes, size_t most) {
  std::string text;
  for (const char c : bytes.substr(0, most)) {
    char escaped[8];
    if (c >= ' ' && c <= '~' && c != '\\') {
      text += c;
    } else {
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", static_cast<unsigned char>(c));
      text += escaped;
    }
  }
  return bytes.size() > most ? text + "..." : text;
}

Row RowOf(const proto::Letter& letter) {
  const bool key = letter.record() < 0;
  return {std::to_string(letter.batch_ms()) + "-" + std::to_string(letter.number()),
          letter.operator_name(),
          letter.source() + (key ? "" : " record " + std::to_string(letter.record())),
          key ? "key " + Shown(letter.key(), 40) + ", " + std::to_string(letter.values_size()) +
                    " values"
              : Shown(letter.raw(), 60),
          Shown(letter.error(), 120)};
}

absl::Status List(const Typed& typed, const Which& which) {
  ASSIGN_OR_RETURN(const bool json, WantsJson(typed));
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  std::vector<Row> rows = {{"LETTER", "OPERATOR", "FROM", "RECORD", "ERROR"}};
  proto::LettersRequest request;
  request.set_name(typed.positional[0]);
  request.set_batch_ms(which.batch_ms);
  const absl::Status status = client->Letters(request, [&](const proto::LetterReply& reply) {
    if (!which.Has(reply.letter())) return;
    if (json) std::cout << daemon::LetterJson(reply.letter()) << "\n";
    else rows.push_back(RowOf(reply.letter()));
  });
  if (!json && (status.ok() || rows.size() > 1)) PrintTable(rows, std::cout);
  return status;
}

// The wish is repeated until the job driver's answer to it is seen: it takes each letter once. That
// driver may die meanwhile; the next one knows what the former one answered.
absl::StatusOr<proto::ReplayAnswer> AskForReplay(Client& client, proto::ReplayRequest request) {
  std::optional<proto::ReplayAnswer> answer;
  bool ended = false;
  for (int ask = 0; ask < kAsksMax && !answer.has_value(); ++ask) {
    ASSIGN_OR_RETURN(const proto::Outcome outcome, client.Replay(request));
    const bool refused = outcome.exit_code() != 0;
    if (refused && (ask == 0 || ended)) return absl::NotFoundError(outcome.message());
    const auto asked = Clock::now();
    RETURN_IF_ERROR(client.Watch(request.name(), [&](const proto::JobInfo& job) {
      if (job.status().replay().request() == request.request()) answer = job.status().replay();
      ended = job.ended();
      return answer.has_value() || Clock::now() - asked > kAskAgain;
    }));
  }
  if (answer.has_value()) return *answer;
  return absl::DeadlineExceededError("the job's driver has not answered: " + request.name());
}

absl::Status Replay(const Typed& typed, const Which& which) {
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  std::random_device random;
  proto::ReplayRequest request;
  request.set_name(typed.positional[0]);
  request.set_request((uint64_t{random()} << 32 | random()) | 1);
  request.set_batch_ms(which.batch_ms);
  request.set_number(static_cast<uint32_t>(which.number));
  ASSIGN_OR_RETURN(const proto::ReplayAnswer answer, AskForReplay(*client, request));
  std::cout << answer.taken() << " letters are input of the next batch, " << answer.before()
            << " were run again before" << std::endl;
  if (!answer.refused().empty()) {
    return absl::NotFoundError("not all letters can be run again: " + answer.refused());
  }
  return answer.taken() > 0 ? absl::OkStatus()
                            : absl::NotFoundError("no letter is left to be run again: " +
                                                  request.name());
}

absl::Status Run(const Typed& typed) {
  RETURN_IF_ERROR(CheckName("job name", typed.positional[0]));
  ASSIGN_OR_RETURN(const Which which, ParseWhich(typed));
  return typed.Has("replay") ? Replay(typed, which) : List(typed, which);
}

}  // namespace

Command JobLettersCommand() {
  Command command;
  command.name = "job letters";
  command.help =
      "Lists the records that a job set aside because user code failed at them\n"
      "(bad_records=aside). With --replay they become input of its next batch, each of them once.";
  command.positional = "NAME";
  command.positional_min = command.positional_max = 1;
  command.flags = ClientFlags({{"replay", "", "have them run again; 1 when none is left to be"},
                               {"batch", "MS", "only those of this batch"},
                               {"letter", "MS-NUMBER", "only this one"},
                               OutputFlag()});
  command.run = [](const Typed& typed) {
    const absl::Status status = Run(typed);
    return status.ok() ? 0 : Fail(status);
  };
  return command;
}

}  // namespace sluice::cli
