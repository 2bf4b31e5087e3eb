#include "checkpoint/driver_log.h"
#include "common/status.h"

#include <optional>
#include <type_traits>
#include <utility>

namespace sluice {

absl::StatusOr<std::unique_ptr<DriverLog>> DriverLog::Open(LogStore* store, Now now,
                                                           LogOpenOptions options) {
  options.where = store->Where();
  std::unique_ptr<DriverLog> log(new DriverLog(store, std::move(now), options));
  RETURN_IF_ERROR(log->Drive(LogStart{}));
  return log;
}

absl::StatusOr<LogPosition> DriverLog::Append(std::vector<std::string> entries) {
  if (!end_.ok()) return end_;
  if (!core_.idle()) return absl::FailedPreconditionError("an append of the log is under way");
  RETURN_IF_ERROR(Drive(LogAppend{0, std::move(entries)}));
  return appended_;
}

absl::StatusOr<LogPosition> DriverLog::Retry() {
  if (!end_.ok()) return end_;
  if (core_.idle()) return absl::FailedPreconditionError("no append of the log is under way");
  RETURN_IF_ERROR(Drive(LogRetry{}));
  return appended_;
}

absl::Status DriverLog::DeleteBelow(uint64_t slot) {
  RETURN_IF_ERROR(ForgetBelow(slot));
  return slot <= 1 ? absl::OkStatus() : store_->DeleteUpTo(slot - 1);
}

absl::Status DriverLog::Drive(const LogEvent& event) {
  std::optional<LogEvent> next = event;
  absl::Status result;
  while (next.has_value()) {
    std::vector<LogCommand> commands = core_.Step(now_(), *next);
    next.reset();
    for (LogCommand& command : commands) {
      std::visit(
          [&](auto& c) {
            using Command = std::decay_t<decltype(c)>;
            if constexpr (std::is_same_v<Command, LogOpened>) {
              replayed_ = std::move(c.entries);
            } else if constexpr (std::is_same_v<Command, LogAppended>) {
              appended_ = c.position;
            } else if constexpr (std::is_same_v<Command, LogStalled>) {
              result = c.status;
            } else if constexpr (std::is_same_v<Command, LogStopped>) {
              result = end_ = c.status;
            } else {
              next = CarryOut(c);
            }
          },
          command);
    }
  }
  return result;
}

LogEvent DriverLog::CarryOut(const LogRead& command) {
  LogReadDone done;
  const absl::StatusOr<std::optional<uint64_t>> witness = store_->DurableLength();
  if (!witness.ok()) {
    done.status = witness.status();
    return done;
  }
  done.witness = *witness;
  done.status = store_->ReadAll(command.from, [&done](uint64_t slot, std::string_view bytes) {
    done.slots.emplace_back(slot, bytes);
    return absl::OkStatus();
  });
  return done;
}

LogEvent DriverLog::CarryOut(const LogPut& command) {
  return LogPutDone{command.slot, store_->PutIfAbsent(command.slot, command.bytes)};
}

LogEvent DriverLog::CarryOut(const LogGet& command) {
  return LogGetDone{command.slot, store_->Get(command.slot)};
}

LogEvent DriverLog::CarryOut(const LogCut& command) {
  return LogCutDone{command.slot, store_->CutTail(command.slot, command.bytes)};
}

}  // namespace sluice
