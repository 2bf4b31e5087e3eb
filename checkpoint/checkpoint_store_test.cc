#include "checkpoint/checkpoint_store.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint_collector.h"
#include "checkpoint/errors.h"
#include "checkpoint/memory_object_store.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

Manifest Example() {
  return {.sequence = 7,
          .job_instance = 0xabcdef0123456789,
          .batch_ms = 1700000000000,
          .decided = {42, 0xdeadbeef},
          .chains = {{"count", 0, {"part-a", "part-b"}}, {"count", 1, {"part-a"}}, {"x", 0, {}}},
          .driver_payload = std::string("opaque\0bytes", 12)};
}

TEST(ManifestTest, ComesBackAsItWas) {
  EXPECT_EQ(*DecodeManifest(EncodeManifest(Example())), Example());
  EXPECT_EQ(*DecodeManifest(EncodeManifest(Manifest{})), Manifest{});
}

TEST(ManifestTest, EveryFlippedBitAndEveryCutIsFound) {
  const std::string bytes = EncodeManifest(Example());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    ASSERT_FALSE(DecodeManifest(changed).ok()) << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(DecodeManifest(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeManifest(bytes + "x").ok());
}

class CheckpointStoreTest : public testing::Test {
 protected:
  std::string PutPart(int64_t batch_ms, const std::string& maker, std::vector<StatePiece> pieces) {
    const std::string name = StatePartName(1, batch_ms, maker);
    EXPECT_TRUE(objects_.PutIfAbsent(name, *codec_->Encode(std::move(pieces))).ok());
    return name;
  }
  // A checkpoint with one part of its own, made at its batch.
  std::string PutCheckpoint(uint64_t sequence, int64_t batch_ms) {
    const std::string part = PutPart(batch_ms, "e1g1x0", {{"count", 0, {}}});
    const Manifest manifest = {
        .sequence = sequence, .batch_ms = batch_ms, .chains = {{"count", 0, {part}}}};
    EXPECT_TRUE(store_.PutManifest(manifest).ok());
    return part;
  }

  MemoryObjectStore objects_;
  std::unique_ptr<StatePartCodec> codec_ = NewPlainStatePartCodec();
  CheckpointStore store_{&objects_, codec_.get()};
  CheckpointCollector collector_{&store_};
};

TEST_F(CheckpointStoreTest, TheHighestSequenceIsTheLastWhateverItsBatch) {
  EXPECT_TRUE(store_.List()->empty());
  PutCheckpoint(10, 4000);
  PutCheckpoint(9, 5000);
  ASSERT_EQ(store_.List()->size(), 2u);
  EXPECT_EQ(store_.List()->back().sequence, 10u);
}

TEST_F(CheckpointStoreTest, AManifestIsPutOnceButMayBePutAgain) {
  Manifest manifest = Example();
  EXPECT_TRUE(store_.PutManifest(manifest).ok());
  EXPECT_TRUE(store_.PutManifest(manifest).ok());
  manifest.batch_ms += 1;
  EXPECT_TRUE(absl::IsAlreadyExists(store_.PutManifest(manifest)));
}

TEST_F(CheckpointStoreTest, ADamagedManifestIsNamed) {
  PutCheckpoint(1, 1000);
  objects_.FlipBit(ManifestName(1), 100);
  const auto read = store_.ReadManifest(ManifestName(1));
  EXPECT_TRUE(IsDamaged(read.status()));
  EXPECT_NE(read.status().message().find(ManifestName(1)), std::string::npos);
}

TEST_F(CheckpointStoreTest, AManifestUnderAnotherNameIsDamage) {
  ASSERT_TRUE(objects_.PutIfAbsent(ManifestName(3), EncodeManifest(Example())).ok());
  EXPECT_TRUE(IsDamaged(store_.ReadManifest(ManifestName(3)).status()));
}

TEST_F(CheckpointStoreTest, VerifyReadsEveryPart) {
  const std::string part = PutCheckpoint(1, 1000);
  EXPECT_TRUE(store_.Verify(ManifestName(1)).ok());
  EXPECT_TRUE(absl::IsNotFound(store_.Verify(ManifestName(2))));
  objects_.FlipBit(part, 70);
  const absl::Status flipped = store_.Verify(ManifestName(1));
  EXPECT_TRUE(IsDamaged(flipped));
  EXPECT_NE(flipped.message().find(part), std::string::npos);
  ASSERT_TRUE(objects_.Delete(part).ok());
  EXPECT_TRUE(IsDamaged(store_.Verify(ManifestName(1))));
}

TEST_F(CheckpointStoreTest, OnlyWhatNoKeptCheckpointNeedsMayGo) {
  std::vector<std::string> parts;
  for (int i = 1; i <= 5; ++i) parts.push_back(PutCheckpoint(i, i * 1000));
  // Checkpoint 5 builds on the part of 1; a part of batch 4500 was abandoned; one of 6000 is new.
  const Manifest last = {
      .sequence = 6, .batch_ms = 5500, .chains = {{"count", 0, {parts[0], parts[4]}}}};
  ASSERT_TRUE(store_.PutManifest(last).ok());
  const std::string abandoned = PutPart(4500, "e1g2x0", {});
  PutPart(5500, "e1g3x0", {});
  PutPart(6000, "e1g3x0", {});
  const auto collectable = collector_.Find();
  ASSERT_TRUE(collectable.ok()) << collectable.status();
  EXPECT_EQ(collectable->names, (std::vector<std::string>{ManifestName(1), ManifestName(2),
                                                    ManifestName(3), parts[1], parts[2],
                                                    abandoned}));
  EXPECT_EQ(collector_.Find(0)->names, collectable->names);  // three stay at least
}

// It was, and with it went the last one that could be used.
TEST_F(CheckpointStoreTest, ACheckpointThatWasSetAsideIsNotCountedAmongThoseKept) {
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) PutCheckpoint(sequence, 1000 * sequence);
  for (const uint64_t sequence : {3, 4}) {
    ASSERT_TRUE(objects_.PutIfAbsent(SetAsideName(ManifestName(sequence)), "damaged").ok());
  }
  // 1, 2 and 5 are kept; of the others only the parts go.
  EXPECT_TRUE(collector_.Find()->names.front().starts_with("part-"));
  PutCheckpoint(6, 6000);
  EXPECT_EQ(collector_.Find()->names.front(), ManifestName(1));
}

TEST_F(CheckpointStoreTest, NothingIsCollectableWhileAKeptManifestCannotBeRead) {
  for (int i = 1; i <= 5; ++i) PutCheckpoint(i, i * 1000);
  objects_.FlipBit(ManifestName(4), 99);
  EXPECT_TRUE(IsDamaged(collector_.Find().status()));
}

// Each was read at every checkpoint, with all of the driver's state in it.
TEST_F(CheckpointStoreTest, AManifestIsReadOnceForAllCollections) {
  for (int i = 1; i <= 5; ++i) PutCheckpoint(i, i * 1000);
  EXPECT_EQ(collector_.Find()->oldest, ManifestName(3));
  for (int i = 3; i <= 5; ++i) objects_.FlipBit(ManifestName(i), 99);
  EXPECT_TRUE(collector_.Find().ok());
  PutCheckpoint(6, 6000);
  EXPECT_EQ(collector_.Find()->oldest, ManifestName(4));
  objects_.FlipBit(ManifestName(6), 99);
  EXPECT_TRUE(collector_.Find().ok());
}

}  // namespace
}  // namespace sluice
