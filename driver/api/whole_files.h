// Files as records, for FileStream: a pair of path and contents.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace sluice::internal {

using WholeFile = std::pair<std::string, std::string>;

// parse(path, contents) as a function of such a record.
template <class F>
struct ParseWholeFile {
  F parse;
  auto operator()(const std::pair<std::string_view, std::string_view>& file) const {
    return parse(file.first, file.second);
  }
};

}  // namespace sluice::internal
