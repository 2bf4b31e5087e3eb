#include "sluice/cli/table.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ostream>

namespace sluice::cli {

void PrintTable(const std::vector<Row>& rows, std::ostream& out) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    if (widths.size() < row.size()) widths.resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - row[i].size() + 2, ' ');
    }
    out << line << "\n";
  }
  out.flush();
}

bool IsTerminal(int fd) { return isatty(fd) == 1; }

std::string Coloured(const std::string& text, bool good) {
  const char* no_color = std::getenv("NO_COLOR");
  bool plain = !IsTerminal(STDOUT_FILENO) || (no_color != nullptr && *no_color != '\0');
  return plain ? text : (good ? "\033[32m" : "\033[31m") + text + "\033[0m";
}

}  // namespace sluice::cli
