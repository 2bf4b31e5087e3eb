// Rows in a PostgreSQL database exactly once, in the transaction that writes down whose they are.
//
//   counts.ForeachPartition([sink = sluice::postgres::Sink({.connection = "dbname=shop"})](
//                               const auto& batch) {
//     sink.Once(batch.identity(), [&](pqxx::work& transaction) {
//       sluice::postgres::Copy(transaction, "counts", {"word", "n"}, batch);
//     });
//   });
//
// Not part of sluice/sluice.h: a program that includes this links sluice-postgres (pkg-config), and
// its nodes need libpqxx and libpq.
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/plan/kernel.h"

namespace sluice::postgres {

struct Options {
  // As libpq reads it: "host=db user=shop dbname=shop", or a URI. What it leaves out comes from the
  // executor's environment (PGHOST, PGPASSFILE and so on): passwords belong into a password file.
  std::string connection;
  // The table of who has written what, created where it is absent. Sinks of many jobs share one.
  // A name of letters, digits and _, with a schema before it or not.
  std::string ledger = "sluice_ledger";
  // Of one Once(): connecting, waiting for locks, the rows, and all tries. Less than the job's
  // task_timeout, by which the executor is ended.
  std::chrono::milliseconds deadline = std::chrono::minutes(1);
};

// A later writer has been here: the caller belongs to a generation of the job that was replaced.
class Refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Writes under an identity once. Copies share their connections, which are opened when needed and
// used again: at most as many as threads are inside Once() at a time. Thread-safe.
//
// The ledger has one row for each (job instance, output, partition): the last batch written and
// the highest fence seen. It needs no more, because the runtime lets a batch have effects only
// when the one before it is durably decided, and a decided batch never has effects again: what is
// asked for a second time is always the last one. So each write prunes its predecessor. The rows
// of a job instance that will never run again (`--fresh`) are the user's to delete.
class Sink {
 public:
  explicit Sink(Options options);

  // Runs `write(transaction)` and commits what it wrote together with the identity; true when that
  // was done, false when the identity was there already and nothing was run. `write` may be run
  // several times, each time in a new transaction, and must have no effect outside it; it must
  // neither commit nor abort.
  //
  // Lost connections, a server that restarts, deadlocks, conflicts between transactions and a
  // commit whose answer was lost are tried again with back-off until the deadline; then, and at
  // once for every other failure, the exception is thrown on. Throws Refused for an older fence.
  using Write = std::function<void(pqxx::work&)>;
  bool Once(const PartitionIdentity& identity, const Write& write) const;
  // For ForeachBatch: one identity for the whole batch.
  bool Once(const BatchIdentity& identity, const Write& write) const;

 private:
  class Connections;
  std::shared_ptr<Connections> connections_;
};

namespace internal {

using Field = std::optional<std::string>;  // none is null

// `connection` with bounds on how long a lost host goes unnoticed, unless it sets them itself.
std::string WithTimeouts(const std::string& connection);

// Text of a field for COPY. Throws std::invalid_argument for a byte that no text there can hold.
inline Field ToField(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) {
    throw std::invalid_argument("a text with a zero byte, which PostgreSQL does not store");
  }
  return std::string(text);
}
inline Field ToField(bool value) { return std::string(value ? "t" : "f"); }
template <class T>
  requires std::is_arithmetic_v<T>
Field ToField(T value) {
  std::array<char, 64> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return std::string(digits.data(), end);
}
template <class T>
Field ToField(const std::optional<T>& value) {
  return value.has_value() ? ToField(*value) : std::nullopt;
}

template <class T>
concept TupleRow = requires { std::tuple_size<T>::value; };

template <class Row>
auto FieldsOf(const Row& row) {
  if constexpr (TupleRow<Row>) {
    return std::apply([](const auto&... f) { return std::array{ToField(f)...}; }, row);
  } else {
    return std::array{ToField(row)};
  }
}

template <size_t n>
void Append(pqxx::stream_to& stream, const std::array<Field, n>& fields) {
  std::array<const char*, n> row;
  for (size_t i = 0; i < n; ++i) row[i] = fields[i].has_value() ? fields[i]->c_str() : nullptr;
  stream << row;
}

}  // namespace internal

// Sends `fields(row)` of every record of the batch to the table by COPY: a tuple or pair of
// numbers, texts (UTF-8), booleans and optionals of them, or a single one of these.
template <class Batch, class F>
void Copy(pqxx::work& transaction, const std::string& table,
          const std::vector<std::string>& columns, const Batch& batch, F fields) {
  pqxx::stream_to stream(transaction, table, columns);
  batch.ForEach([&](const auto& row) {
    internal::Append(stream, internal::FieldsOf(fields(row)));
  });
  stream.complete();
}

// The same for records that are such a tuple, pair or single value themselves.
template <class Batch>
void Copy(pqxx::work& transaction, const std::string& table,
          const std::vector<std::string>& columns, const Batch& batch) {
  Copy(transaction, table, columns, batch, [](const auto& row) -> const auto& { return row; });
}

}  // namespace sluice::postgres
