// Golden cases as text: what a job is given batch by batch, and what it must give.
//
//   # Words about the case.
//   job: words.Count()
//
//   time | words | out
//   1s   | a b c | 3
//   2s   |       | 0
//   3s   | none  | none
//
// `job` is the text of an expression that golden_jobs.cc compiles; lines that follow and are
// indented belong to it. The table's first column is the batch time since the job's start: a batch
// later than the next tick means that the ticks between were missed. The other columns are sources
// (words, more: text; numbers: int64; pairs: text and int64, written (a,1)) and what the job gives:
//
//   out        the records of the stream that the job's expression is, or of its Print or
//              SaveAsTextFiles. `...` is printed so. The parts of files are separated by `/`.
//   out@2      the same at two partitions only, where it depends on their number
//   calls      what ForeachBatch was called with: the batch time, then the records
//
// Records are separated by spaces; one that has spaces itself, or none of its own, stands in double
// quotes. An empty cell is an empty dataset and `none` is no dataset. Rows are in order at one
// partition; at others they may come in any order, unless a line says `in order: always`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::golden {

// Parts of records; nothing: no dataset.
using Cell = std::optional<std::vector<std::vector<std::string>>>;

struct GoldenBatch {
  int line = 0;
  int64_t time_ms = 0;
  std::map<std::string, Cell> cells;  // by column
};

struct GoldenCase {
  std::string file;
  std::string job;
  bool always_in_order = false;
  std::vector<std::string> columns;
  std::vector<GoldenBatch> batches;
  std::string error;  // not empty: the file is not in the form above
};

GoldenCase ReadGoldenFile(const std::string& path);

// A record of a source of that type: "7", "(a,1)".
std::string ToText(const std::string& record);
int64_t ToNumber(const std::string& text);
std::pair<std::string, int64_t> ToPair(const std::string& text);

// Without spaces and ends of lines, so that a job may be laid out as its text needs.
std::string WithoutLayout(const std::string& text);

}  // namespace sluice::golden
