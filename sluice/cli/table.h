// Rows for people: columns as wide as they need to be.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace sluice::cli {

using Row = std::vector<std::string>;

// The first row is the heading.
void PrintTable(const std::vector<Row>& rows, std::ostream& out);

// True when `fd` is a terminal: progress is for terminals only.
bool IsTerminal(int fd);

// `text` in colour on a terminal, unless NO_COLOR is set. `good` picks green or red.
std::string Coloured(const std::string& text, bool good);

}  // namespace sluice::cli
