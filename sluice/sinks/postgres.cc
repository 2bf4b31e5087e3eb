#include "sluice/sinks/postgres.h"

#include <algorithm>
#include <mutex>
#include <random>
#include <thread>

namespace sluice::postgres {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{2000};

// The row of the whole batch, where there are no partitions.
constexpr int64_t kWholeBatch = -1;

struct Entry {
  std::string job;
  int64_t output, partition, batch_ms, fence;
};

std::string Hex(uint64_t value) {
  std::array<char, 17> digits{};
  std::to_chars(digits.data(), digits.data() + 16, value, 16);
  return std::string(digits.data());
}

template <class Identity>
Entry EntryOf(const Identity& identity, int64_t partition) {
  return {Hex(identity.job_instance), identity.output, partition, identity.batch_ms,
          static_cast<int64_t>(identity.fence)};
}

milliseconds Left(Clock::time_point deadline) {
  return std::max(milliseconds(1),
                  std::chrono::duration_cast<milliseconds>(deadline - Clock::now()));
}

// Whether the same transaction may go well when it is tried again.
bool IsTransient(const std::exception& error) {
  if (dynamic_cast<const pqxx::broken_connection*>(&error) != nullptr ||
      dynamic_cast<const pqxx::in_doubt_error*>(&error) != nullptr ||
      dynamic_cast<const pqxx::transaction_rollback*>(&error) != nullptr) {
    return true;
  }
  const auto* sql = dynamic_cast<const pqxx::sql_error*>(&error);
  if (sql == nullptr) return false;
  // Connection lost, rolled back for a conflict, no room for now, ended by an operator or not yet
  // up, a lock or an idle transaction that took too long.
  for (const char* state : {"08", "40", "53", "57P", "55P03", "25P03"}) {
    if (sql->sqlstate().rfind(state, 0) == 0) return true;
  }
  return false;
}

// Two executors must not come back in step.
milliseconds Spread(milliseconds pause) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return pause / 2 + milliseconds(random() % static_cast<uint64_t>(pause.count() / 2 + 1));
}

bool IsTableName(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.';
  });
}

}  // namespace

namespace internal {

std::string WithTimeouts(const std::string& connection) {
  const std::pair<const char*, const char*> bounds[] = {{"connect_timeout", "10"},
                                                        {"tcp_user_timeout", "20000"}};
  std::string result = connection;
  const bool uri = connection.find("://") != std::string::npos;
  for (const auto& [name, value] : bounds) {
    if (connection.find(name) != std::string::npos) continue;
    const std::string pair = std::string(name) + "=" + value;
    if (uri) {
      result += (result.find('?') == std::string::npos ? "?" : "&") + pair;
    } else {
      result += (result.empty() ? "" : " ") + pair;
    }
  }
  return result;
}

}  // namespace internal

class Sink::Connections {
 public:
  explicit Connections(Options options) : options_(std::move(options)) {
    if (!IsTableName(options_.ledger)) {
      throw std::invalid_argument("the ledger's name must be of letters, digits, _ and .: " +
                                  options_.ledger);
    }
  }

  bool Once(const Entry& entry, const Write& write) {
    const Clock::time_point deadline = Clock::now() + options_.deadline;
    for (milliseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
      try {
        return Try(entry, write, deadline);
      } catch (const std::exception& error) {
        const milliseconds wait = Spread(pause);
        if (!IsTransient(error) || Clock::now() + wait >= deadline) throw;
        CloseIdle();  // a server that ended one has ended all
        std::this_thread::sleep_for(wait);
      }
    }
  }

 private:
  using Connection = std::unique_ptr<pqxx::connection>;

  // A connection goes back only after a transaction that ended well: no other is used again.
  bool Try(const Entry& entry, const Write& write, Clock::time_point deadline) {
    Connection connection = Take();
    bool ours = false;
    {
      pqxx::work transaction(*connection);
      Bound(transaction, deadline);
      ours = PutIdentity(transaction, entry);
      if (ours) write(transaction);
      transaction.commit();
    }
    GiveBack(std::move(connection));
    return ours;
  }

  Connection Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        Connection connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
    }
    return std::make_unique<pqxx::connection>(internal::WithTimeouts(options_.connection));
  }
  void GiveBack(Connection connection) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
  }

  void CloseIdle() {
    std::vector<Connection> closing;
    const std::lock_guard lock(mutex_);
    closing.swap(idle_);
  }

  // The server ends what outlives the deadline: a client that is gone holds no lock for longer.
  void Bound(pqxx::work& transaction, Clock::time_point deadline) {
    const std::string ms = std::to_string(Left(deadline).count());
    transaction.exec("SET LOCAL client_encoding = 'UTF8'; SET LOCAL statement_timeout = " + ms +
                     "; SET LOCAL idle_in_transaction_session_timeout = " + ms);
  }

  // First of all, so that whoever comes with the same identity waits for this transaction's end.
  bool PutIdentity(pqxx::work& transaction, const Entry& entry) {
    CreateLedger(transaction);
    const pqxx::result put = transaction.exec_params(
        "INSERT INTO " + options_.ledger + " AS l (job, output, partition, batch_ms, fence) "
        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (job, output, partition) DO UPDATE "
        "SET batch_ms = excluded.batch_ms, fence = excluded.fence, written_at = now() "
        "WHERE l.batch_ms < excluded.batch_ms AND l.fence <= excluded.fence",
        entry.job, entry.output, entry.partition, entry.batch_ms, entry.fence);
    if (put.affected_rows() == 1) return true;
    const pqxx::result seen = transaction.exec_params(
        "UPDATE " + options_.ledger + " SET fence = greatest(fence, $4) "
        "WHERE job = $1 AND output = $2 AND partition = $3 RETURNING batch_ms, fence",
        entry.job, entry.output, entry.partition, entry.fence);
    if (seen.size() == 1 && seen[0][1].as<int64_t>() <= entry.fence) return false;
    throw Refused("a newer generation of job instance " + entry.job + " has written output " +
                  std::to_string(entry.output) + " to the database; this one, at batch " +
                  std::to_string(entry.batch_ms) + ", is out of date");
  }

  // Whoever finds no ledger makes it; two who do so at once agree by an advisory lock.
  void CreateLedger(pqxx::work& transaction) {
    {
      const std::lock_guard lock(mutex_);
      if (ledger_seen_) return;
    }
    if (transaction.exec_params("SELECT to_regclass($1)", options_.ledger)[0][0].is_null()) {
      transaction.exec_params("SELECT pg_advisory_xact_lock(hashtext($1))", options_.ledger);
      transaction.exec(
          "CREATE TABLE IF NOT EXISTS " + options_.ledger +
          " (job text, output bigint, partition bigint, batch_ms bigint not null, fence bigint "
          "not null, written_at timestamptz not null DEFAULT now(), "
          "PRIMARY KEY (job, output, partition))");
      return;  // it is not there for good before this transaction's end
    }
    const std::lock_guard lock(mutex_);
    ledger_seen_ = true;
  }

  const Options options_;
  std::mutex mutex_;
  std::vector<Connection> idle_;
  bool ledger_seen_ = false;
};

Sink::Sink(Options options) : connections_(std::make_shared<Connections>(std::move(options))) {}

bool Sink::Once(const PartitionIdentity& identity, const Write& write) const {
  return connections_->Once(EntryOf(identity, identity.partition), write);
}

bool Sink::Once(const BatchIdentity& identity, const Write& write) const {
  return connections_->Once(EntryOf(identity, kWholeBatch), write);
}

}  // namespace sluice::postgres
