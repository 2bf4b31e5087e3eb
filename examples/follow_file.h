// A source of one's own: the lines that are appended to a file, each exactly once, whatever dies.
// The file only ever grows, and all workers see it under its path: what is written to a local file
// of one node, or to a log that is rotated, needs another source. docs/adding_a_source.md goes
// through it.
#pragma once

#include <sys/stat.h>

#include <fstream>
#include <stdexcept>
#include <utility>

#include "sluice/sluice.h"

namespace examples {

class FollowFile : public sluice::Receiver<std::string> {
 public:
  explicit FollowFile(std::string path) : path_(std::move(path)) {}

  void Run(sluice::Receiving<std::string>& receiving) override {
    // Another file that takes its place is another producer, whose lines are numbered anew.
    struct stat found, now;
    const bool there = stat(path_.c_str(), &found) == 0;
    std::ifstream file(path_);
    if (!there || !file || stat(path_.c_str(), &now) != 0 || now.st_ino != found.st_ino) {
      throw std::runtime_error("cannot open " + path_);
    }
    const std::string producer = path_ + "#" + std::to_string(found.st_ino);
    // Lines are numbered from 1: those that were logged, by this receiver or a former one, are
    // passed over.
    const std::optional<int64_t> logged = receiving.LastLogged(producer);
    if (!logged.has_value()) return;
    std::vector<std::string> lines;
    for (int64_t number = 0; !receiving.stopping();) {
      lines.clear();
      for (std::string line; lines.size() < 1000 && NextLine(file, line);) {
        if (++number > *logged) lines.push_back(std::move(line));
      }
      if (lines.empty()) {
        const bool same = stat(path_.c_str(), &now) == 0 && now.st_ino == found.st_ino;
        if (!same) throw std::runtime_error("another file has taken the place of " + path_);
        if (number < *logged || now.st_size < static_cast<off_t>(file.tellg())) {
          throw std::runtime_error("what was read is no longer in " + path_);
        }
        receiving.WaitStopping(50);
        continue;
      }
      const int64_t first = number - static_cast<int64_t>(lines.size()) + 1;
      const std::span<const std::string> records(lines);
      if (!receiving.Store(records, {.producer = producer, .first = first})) return;
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
