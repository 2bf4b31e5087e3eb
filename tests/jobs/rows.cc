// Writes records "PAGE ID", each ID once in all, into tables that accept everything twice:
//   ids (page, id, batch_ms, partition)  every record, by COPY from ForeachPartition;
//   totals (page, n)                     n of each page, added to: doubled rows show in the sums;
//   batches (batch_ms, n)                the records of each batch, from ForeachBatch.
#include "sluice/sinks/postgres.h"
#include "sluice/sluice.h"

namespace sluice::tests {
namespace {

using namespace std::chrono_literals;

std::pair<std::string_view, std::string_view> PageAndId(std::string_view line) {
  const size_t blank = line.find(' ');
  return {line.substr(0, blank), line.substr(blank + 1)};
}

// The user's own statements, in the transaction that holds the identity.
void Add(pqxx::work& transaction, const auto& counts) {
  counts.ForEach([&](const auto& row) {
    transaction.exec_params(
        "INSERT INTO totals VALUES ($1, $2) ON CONFLICT (page) DO UPDATE "
        "SET n = totals.n + excluded.n",
        std::string(row.first), row.second);
  });
}

void BuildRows(StreamingContext& ssc) {
  const postgres::Sink sink({.connection = ssc.args().Get("database")});
  auto lines = ssc.Union({ssc.TextFileStream(ssc.args().Get("dir")), ssc.PushStream("ids")});
  lines.Map(PageAndId).ForeachPartition([sink](const auto& rows) {
    sink.Once(rows.identity(), [&](pqxx::work& transaction) {
      postgres::Copy(transaction, "ids", {"page", "id", "batch_ms", "partition"}, rows,
                     [&](const auto& row) {
                       return std::tuple{row.first, row.second, rows.time_ms(), rows.partition()};
                     });
    });
  });
  auto counts = lines.Map([](std::string_view line) {
                       return std::pair{PageAndId(line).first, int64_t{1}};
                     }).ReduceByKey(std::plus<>());
  counts.ForeachPartition([sink](const auto& rows) {
    sink.Once(rows.identity(), [&](pqxx::work& transaction) { Add(transaction, rows); });
  });
  lines.Count().ForeachBatch([sink](const auto& count) {
    sink.Once(count.identity(), [&](pqxx::work& transaction) {
      postgres::Copy(transaction, "batches", {"batch_ms", "n"}, count,
                     [&](const auto& n) { return std::tuple{count.time_ms(), n}; });
    });
  });
}

}  // namespace
}  // namespace sluice::tests

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  return sluice::RunJob(argc, argv, {.name = "rows", .batch_interval = 100ms},
                        sluice::tests::BuildRows);
}
