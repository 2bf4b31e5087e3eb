#include "tests/golden/golden_file.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace sluice::golden {
namespace {

std::string Trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

std::vector<std::string> SplitColumns(const std::string& line) {
  std::vector<std::string> columns;
  size_t begin = 0;
  while (true) {
    const size_t bar = line.find('|', begin);
    columns.push_back(Trim(line.substr(begin, bar - begin)));
    if (bar == std::string::npos) return columns;
    begin = bar + 1;
  }
}

Cell ParseCell(const std::string& text) {
  if (text == "none") return std::nullopt;
  Cell cell;
  cell.emplace().emplace_back();
  for (size_t at = 0; at < text.size();) {
    if (text[at] == ' ') {
      ++at;
    } else if (text[at] == '"') {
      const size_t end = text.find('"', at + 1);
      cell->back().push_back(text.substr(at + 1, end - at - 1));
      at = end == std::string::npos ? text.size() : end + 1;
    } else {
      const size_t end = std::min(text.find(' ', at), text.size());
      const std::string record = text.substr(at, end - at);
      if (record == "/") cell->emplace_back();
      else cell->back().push_back(record);
      at = end;
    }
  }
  return cell;
}

int64_t ParseTime(const std::string& text) {
  char* end = nullptr;
  const int64_t seconds = std::strtoll(text.c_str(), &end, 10);
  return std::string(end) == "s" ? seconds * 1000 : 0;
}

class Reader {
 public:
  explicit Reader(const std::string& path) {
    golden_.file = std::filesystem::path(path).filename();
    std::ifstream in(path);
    if (!in) golden_.error = "cannot be read";
    for (std::string line; golden_.error.empty() && std::getline(in, line);) Take(line);
    if (golden_.error.empty() && golden_.batches.empty()) golden_.error = "has no batches";
    golden_.job = WithoutLayout(golden_.job);
  }
  GoldenCase Result() { return std::move(golden_); }

 private:
  void Take(const std::string& line) {
    ++number_;
    if (line.empty() || line[0] == '#') return;
    if (line.starts_with("job:")) golden_.job = line.substr(4);
    else if (line[0] == ' ') golden_.job += line;
    else if (line == "in order: always") golden_.always_in_order = true;
    else if (golden_.columns.empty()) golden_.columns = SplitColumns(line);
    else TakeBatch(SplitColumns(line));
  }

  void TakeBatch(const std::vector<std::string>& cells) {
    GoldenBatch batch;
    batch.line = number_;
    batch.time_ms = ParseTime(cells[0]);
    const int64_t before = golden_.batches.empty() ? 0 : golden_.batches.back().time_ms;
    if (cells.size() != golden_.columns.size() || batch.time_ms <= before) {
      golden_.error = "line " + std::to_string(number_) + " does not fit the table";
      return;
    }
    for (size_t i = 1; i < cells.size(); ++i) {
      batch.cells[golden_.columns[i]] = ParseCell(cells[i]);
    }
    golden_.batches.push_back(std::move(batch));
  }

  GoldenCase golden_;
  int number_ = 0;
};

}  // namespace

GoldenCase ReadGoldenFile(const std::string& path) { return Reader(path).Result(); }

std::string ToText(const std::string& record) { return record; }
int64_t ToNumber(const std::string& text) { return std::stoll(text); }
std::pair<std::string, int64_t> ToPair(const std::string& text) {
  const size_t comma = text.find(',');
  return {text.substr(1, comma - 1), std::stoll(text.substr(comma + 1))};
}

std::string WithoutLayout(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    if (c != ' ' && c != '\n') plain += c;
  }
  return plain;
}

}  // namespace sluice::golden
