// A driver daemon's part in the log that it shares with those that stand by: it looks, takes over,
// renews its lease, and keeps the job table there while it leads.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "checkpoint/driver_log.h"
#include "checkpoint/log_store.h"
#include "driver/daemon/lease_core.h"
#include "proto/job_table.pb.h"

namespace sluice::daemon {

// One thread, which every call may hold up for as long as the store takes to answer. The store
// outlives it.
class LeaderSeat {
 public:
  struct Options {
    std::string address;  // where others reach this daemon
    std::string node;     // random, of its data folder
    int64_t lease_us = 5'000'000;
    std::function<MonotonicTime()> now;     // counts while the machine sleeps
    std::function<uint64_t()> random;
  };
  // What a turn has brought.
  struct News {
    bool lead = false;          // it has taken over, and this is the table,
    proto::JobTable table = {};
    bool follow = false;        // or it leads no more
    std::string why = {};
    absl::Status failed = {};   // the log is damaged: nobody can lead
  };

  LeaderSeat(LogStore* store, Options options);

  // Does what is due: a look at the log, a renewal, a takeover. To be called again and again, and
  // before anything is done in the name of the leader: `leads` is sure only after it.
  News Turn();
  bool leads() const { return core_.leads(); }
  bool Sure() const { return core_.Sure(options_.now()); }
  MonotonicTime sure_until() const { return core_.sure_until(); }

  // Durable, and in nobody else's place, when it returns OK. After any other status it may yet
  // become so. Only while it leads.
  absl::Status Save(const proto::JobTable& table);
  // The last entry: others take over at once. Turn does nothing after it.
  void Resign();

  uint64_t epoch() const { return core_.epoch(); }
  const std::string& leader() const { return core_.leader(); }
  // Binaries that the leader's newest entry names.
  const std::vector<proto::LeaderEntry::Binary>& binaries() const { return binaries_; }

 private:
  void Carry(std::vector<lease::Command> commands, News* news);
  lease::Event LookAtLog();
  lease::Event Open(uint64_t behind, News* news);
  lease::Event Append(proto::LeaderEntry entry, absl::Status* status);
  // The event for what an append, or a further try of it, gave.
  lease::Event Judge(const absl::StatusOr<LogPosition>& position, MonotonicTime begun);
  absl::StatusOr<uint64_t> FirstSlot();
  absl::StatusOr<std::unique_ptr<DriverLog>> OpenLog();
  proto::LeaderEntry NewEntry() const;
  void Collect();
  void Step(const lease::Event& event, News* news);

  LogStore* const store_;
  const Options options_;
  lease::Core core_;
  std::unique_ptr<DriverLog> log_;
  bool stalled_ = false;         // an append of log_ is under way
  MonotonicTime stalled_begun_ = 0;
  bool stalled_table_ = false;   // with the table in it
  proto::JobTable table_;        // the last that was saved
  std::optional<News> late_;     // what happened outside of a turn
  uint64_t table_slot_ = 0;      // the newest with the whole table
  MonotonicTime table_at_ = 0;
  std::deque<std::pair<uint64_t, MonotonicTime>> slots_;  // of this epoch, and when they were put
  uint64_t collected_ = 0;       // slots below it are gone
  std::vector<proto::LeaderEntry::Binary> binaries_;
};

}  // namespace sluice::daemon
