// What the files of outputs that roll must hold: I3, each batch's rows in one file, once, in order.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/site.h"

namespace sluice::sim {

class RolledCheck {
 public:
  explicit RolledCheck(Site& site) : site_(site) {}
  // What the reference gave for a decided batch; `settled`: its file is due.
  void Expect(OutputId output, int64_t batch_ms, bool settled,
              const std::vector<std::vector<std::string>>& parts);
  void Run();

 private:
  struct Batch {
    std::vector<std::string> rows;
    bool settled = false;
    std::string file;  // that has it
  };
  void CheckFile(const std::string& target, const SimFiles::Rolled& file);

  Site& site_;
  std::map<std::pair<OutputId, int64_t>, Batch> batches_;
};

}  // namespace sluice::sim
