// Adds the counts of each batch's words to a table of a PostgreSQL database, exactly once:
//
//   CREATE TABLE words (word text PRIMARY KEY, total bigint not null);
//
// --database="host=db dbname=shop user=shop" says where; a password belongs into a password file.
#include "examples/source.h"
#include "examples/word_count.h"
#include "sluice/sinks/postgres.h"

using namespace std::chrono_literals;

// Adding twice would show: what makes it exact is the identity, in the same transaction.
void AddToTotals(pqxx::work& transaction, const auto& counts) {
  transaction.exec("CREATE TEMPORARY TABLE counted (word text, n bigint) ON COMMIT DROP");
  sluice::postgres::Copy(transaction, "counted", {"word", "n"}, counts);
  transaction.exec(
      "INSERT INTO words SELECT word, n FROM counted "
      "ON CONFLICT (word) DO UPDATE SET total = words.total + excluded.total");
}

void BuildJob(sluice::StreamingContext& ssc) {
  const sluice::postgres::Sink sink({.connection = ssc.args().Get("database", "")});
  examples::CountWords(examples::Lines(ssc)).ForeachPartition([sink](const auto& counts) {
    if (counts.empty()) return;
    sink.Once(counts.identity(),
              [&](pqxx::work& transaction) { AddToTotals(transaction, counts); });
  });
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "word_table", .batch_interval = 1s}, BuildJob);
}
