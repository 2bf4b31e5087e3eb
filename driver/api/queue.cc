#include "driver/api/queue.h"

#include <deque>
#include <mutex>
#include <optional>

namespace sluice::internal {
namespace {

class LockedQueue final : public EncodedQueue {
 public:
  LockedQueue(uint32_t fixed_size, bool test_only)
      : fixed_size_(fixed_size), test_only_(test_only) {}

  void Push(const RecordBatch& batch) override {
    std::string encoded;
    EncodeBatch(batch.view(), encoded);
    const std::lock_guard lock(mutex_);
    batches_.push_back(std::move(encoded));
  }
  void PushNoDataset() override {
    const std::lock_guard lock(mutex_);
    batches_.push_back(std::nullopt);
  }

  std::optional<std::string> Next(int64_t) override {
    const std::lock_guard lock(mutex_);
    if (batches_.empty()) {
      std::string encoded;
      EncodeBatch(RecordBatch(fixed_size_).view(), encoded);
      return encoded;
    }
    std::optional<std::string> encoded = std::move(batches_.front());
    batches_.pop_front();
    return encoded;
  }

  bool test_only() const override { return test_only_; }

 private:
  const uint32_t fixed_size_;
  const bool test_only_;
  std::mutex mutex_;
  std::deque<std::optional<std::string>> batches_;
};

}  // namespace

std::shared_ptr<EncodedQueue> MakeQueue(uint32_t fixed_size, bool test_only) {
  return std::make_shared<LockedQueue>(fixed_size, test_only);
}

}  // namespace sluice::internal
