// A source of one's own: the lines that are appended to a file, each exactly once, whatever dies.
// docs/adding_a_source.md goes through it.
#pragma once

#include <fstream>
#include <stdexcept>
#include <utility>

#include "sluice/sluice.h"

namespace examples {

class FollowFile : public sluice::Receiver<std::string> {
 public:
  explicit FollowFile(std::string path) : path_(std::move(path)) {}

  void Run(sluice::Receiving<std::string>& receiving) override {
    std::ifstream file(path_);
    if (!file) throw std::runtime_error("cannot open " + path_);
    // Lines are numbered from 1: those that were logged, by this receiver or a former one, are
    // passed over.
    const std::optional<int64_t> logged = receiving.LastLogged(path_);
    if (!logged.has_value()) return;
    std::vector<std::string> lines;
    for (int64_t number = 0; !receiving.stopping();) {
      lines.clear();
      for (std::string line; lines.size() < 1000 && NextLine(file, line);) {
        if (++number > *logged) lines.push_back(std::move(line));
      }
      if (lines.empty()) {
        receiving.WaitStopping(50);
        continue;
      }
      const int64_t first = number - static_cast<int64_t>(lines.size()) + 1;
      const std::span<const std::string> records(lines);
      if (!receiving.Store(records, {.producer = path_, .first = first})) return;
    }
  }

 private:
  // False: there is no further line yet, or not all of it.
  static bool NextLine(std::ifstream& file, std::string& line) {
    const auto at = file.tellg();
    if (std::getline(file, line) && !file.eof()) return true;
    file.clear();
    file.seekg(at);
    return false;
  }

  const std::string path_;
};

}  // namespace examples
