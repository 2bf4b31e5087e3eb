#include "tests/sim/rolled_check.h"

namespace sluice::sim {

void RolledCheck::Expect(OutputId output, int64_t batch_ms, bool settled,
                         const std::vector<std::vector<std::string>>& parts) {
  Batch& batch = batches_[{output, batch_ms}];
  batch.settled = settled;
  for (const auto& part : parts) batch.rows.insert(batch.rows.end(), part.begin(), part.end());
}

void RolledCheck::Run() {
  for (const auto& [target, file] : site_.files.rolled) CheckFile(target, file);
  for (const auto& [key, batch] : batches_) {
    if (!batch.file.empty() || batch.rows.empty() || !batch.settled) continue;
    site_.Break("I3: batch " + std::to_string(key.second) + " is in no file of output " +
                std::to_string(key.first));
  }
}

void RolledCheck::CheckFile(const std::string& target, const SimFiles::Rolled& file) {
  std::vector<std::string> rows;
  auto it = batches_.lower_bound({file.output, file.from_ms});
  for (; it != batches_.end() && it->first <= std::pair(file.output, file.to_ms); ++it) {
    Batch& batch = it->second;
    if (!batch.file.empty()) {
      site_.Break("I3: batch " + std::to_string(it->first.second) + " is in " + batch.file +
                  " and in " + target);
    }
    batch.file = target;
    rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
  }
  site_.rows_compared += rows.size();
  if (rows != file.rows) site_.Break("I2: " + target + " differs from the reference");
}

}  // namespace sluice::sim
