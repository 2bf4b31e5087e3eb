#include "worker/executor/state_parts.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

#include "checkpoint/errors.h"
#include "checkpoint/memory_object_store.h"
#include "worker/executor/no_threads.h"

namespace sluice {
namespace {

using Entries = std::map<std::string, std::string>;

class StatePartsTest : public testing::Test {
 protected:
  // `count` rows of 100 bytes, in slices of ten.
  void Write(PartWriter& parts, uint32_t partition, uint32_t count, bool whole) {
    parts.Begin("sums", partition, count);
    for (uint32_t i = 0; i < count; ++i) {
      const std::string key = "p" + std::to_string(partition) + "k" + std::to_string(i);
      parts.Add({key, std::string(100, static_cast<char>('a' + i % 26)), i + 1, 0, false});
      if (i % 10 == 9) {
        ASSERT_TRUE(parts.PutIfFull().ok());
      }
    }
    parts.End({.written = count > 0, .whole = whole, .entries = count});
  }
  Entries Read(const WrittenPart& written, uint32_t partition, uint64_t open_bytes) {
    PartCache cache(&objects_, codec_.get(), open_bytes);
    Entries entries;
    for (const auto& piece : written.pieces) {
      if (piece.partition() != partition) continue;
      const auto part = cache.Open(piece.part());
      EXPECT_TRUE(part.ok()) << part.status();
      const absl::Status read = (*part)->Read("sums", partition, [&](StateEntry&& entry) {
        EXPECT_TRUE(entries.emplace(entry.key, entry.value).second) << entry.key;
        return absl::OkStatus();
      });
      EXPECT_TRUE(read.ok()) << read;
    }
    return entries;
  }

  MemoryObjectStore objects_;
  std::unique_ptr<StatePartCodec> codec_ = NewPlainStatePartCodec();
};

TEST_F(StatePartsTest, APartitionGoesOnInFurtherObjectsAndIsWholeOnlyOnce) {
  PartWriter parts("part-1-100-e1", &objects_, codec_.get(), 4000);
  Write(parts, 0, 100, true);
  Write(parts, 1, 0, true);
  Write(parts, 2, 95, true);
  const auto written = parts.Finish();
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_GT(objects_.List("part-").value().size(), 3u);
  std::map<uint32_t, uint32_t> pieces, whole;
  for (const auto& piece : written->pieces) {
    const bool first = pieces[piece.partition()]++ == 0;
    EXPECT_EQ(piece.whole(), first);
  }
  EXPECT_GT(pieces[0], 1u);
  EXPECT_EQ(pieces.count(1), 0u);
  for (const uint64_t open_bytes : {uint64_t{0}, UINT64_MAX}) {
    EXPECT_EQ(Read(*written, 0, open_bytes).size(), 100u);
    EXPECT_EQ(Read(*written, 2, open_bytes).size(), 95u);
  }
  const auto listed = objects_.List("part-");
  ASSERT_TRUE(listed.ok());
  for (const ObjectInfo& object : *listed) {
    EXPECT_LT(object.bytes, 8000u) << object.name;
  }
}

// Exactly full at its end: nothing of it is in the last object, which would not be read back.
TEST_F(StatePartsTest, APartitionThatEndsWithAnObjectHasNoEmptyPieceBehind) {
  PartWriter parts("part-1-100-e1", &objects_, codec_.get(), 1);
  Write(parts, 0, 10, false);
  const auto written = parts.Finish();
  ASSERT_TRUE(written.ok()) << written.status();
  ASSERT_EQ(written->pieces.size(), 1u);
  EXPECT_FALSE(written->pieces[0].whole());
  EXPECT_EQ(objects_.List("part-").value().size(), 1u);
  EXPECT_EQ(Read(*written, 0, 0).size(), 10u);
}

// Answers reads when so many have waited for an answer at once, or when that has taken long.
class StoreThatIsFarAway : public MemoryObjectStore {
 public:
  explicit StoreThatIsFarAway(int at_once) : at_once_(at_once) {}
  absl::StatusOr<std::string> Get(const std::string& name) override {
    std::unique_lock lock(mutex_);
    most_ = std::max(most_, ++waiting_);
    changed_.notify_all();
    const auto over = [&] { return most_ >= at_once_ || gave_up_; };
    if (!changed_.wait_for(lock, std::chrono::seconds(10), over)) gave_up_ = true;
    --waiting_;
    ++reads_;
    lock.unlock();
    return MemoryObjectStore::Get(name);
  }
  int most() const { return most_; }
  int reads() const { return reads_; }

 private:
  const int at_once_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0, most_ = 0, reads_ = 0;
  bool gave_up_ = false;
};

TEST_F(StatePartsTest, ReadsWhatIsExpectedSeveralAtATimeAndOnce) {
  StoreThatIsFarAway store(4);
  std::vector<std::string> names;
  for (int i = 0; i < 12; ++i) {
    PartWriter parts("part-1-" + std::to_string(i) + "-e1", &store, codec_.get(), UINT64_MAX);
    Write(parts, 0, 10, i == 0);
    ASSERT_TRUE(parts.Finish().ok());
    names.push_back("part-1-" + std::to_string(i) + "-e1");
  }
  PartCache cache(&store, codec_.get(), UINT64_MAX, 4);
  cache.Expect(names);
  cache.Expect(names);
  for (const std::string& name : names) {
    const auto part = cache.Open(name);
    ASSERT_TRUE(part.ok()) << part.status();
    int entries = 0;
    ASSERT_TRUE((*part)->Read("sums", 0, [&](StateEntry&&) {
                         ++entries;
                         return absl::OkStatus();
                       }).ok());
    EXPECT_EQ(entries, 10);
  }
  EXPECT_EQ(store.most(), 4);
  EXPECT_EQ(store.reads(), 12);
  cache.Expect({"part-1-99-e1"});
  EXPECT_TRUE(IsDamaged(cache.Open("part-1-99-e1").status()));
}

TEST_F(StatePartsTest, PartsAreReadWhereNoThreadCanBeMade) {
  PartWriter parts("part-1-100-e1", &objects_, codec_.get(), 4000);
  Write(parts, 0, 100, true);
  const auto written = parts.Finish();
  ASSERT_TRUE(written.ok()) << written.status();
  std::vector<std::string> names;
  for (const auto& piece : written->pieces) names.push_back(piece.part());
  ASSERT_GT(names.size(), 1u);
  PartCache cache(&objects_, codec_.get(), UINT64_MAX, 4);
  cache.Expect(names);
  const NoThreads none;
  for (const std::string& name : names) {
    const auto part = cache.Open(name);
    EXPECT_TRUE(part.ok()) << part.status();
  }
}

}  // namespace
}  // namespace sluice
