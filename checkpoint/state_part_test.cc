// Both encodings of state parts give back what went in, and find what was done to them since.
#include "checkpoint/state_part.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/errors.h"
#include "checkpoint/rocksdb_state_part.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

StateEntry Entry(std::string key, std::string value, uint64_t insertion) {
  return {.key = std::move(key), .value = std::move(value), .insertion = insertion};
}

class StatePartTest : public testing::TestWithParam<std::string> {
 protected:
  StatePartTest()
      : codec_(GetParam() == "plain" ? NewPlainStatePartCodec() : NewRocksDbStatePartCodec()) {}

  std::string MustEncode(std::vector<StatePiece> pieces) {
    auto bytes = codec_->Encode(std::move(pieces));
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    return *std::move(bytes);
  }
  absl::StatusOr<std::vector<StateEntry>> Read(const std::string& bytes,
                                               const std::string& operator_name,
                                               uint32_t partition) {
    auto reader = codec_->Open("part-x", bytes);
    if (!reader.ok()) return reader.status();
    std::vector<StateEntry> entries;
    const absl::Status status =
        (*reader)->Read(operator_name, partition, [&entries](StateEntry&& entry) {
          entries.push_back(std::move(entry));
          return absl::OkStatus();
        });
    if (!status.ok()) return status;
    return entries;
  }

  std::unique_ptr<StatePartCodec> codec_;
};

using Entries = std::vector<StateEntry>;

TEST_P(StatePartTest, EntriesComeBackByKey) {
  const StateEntry removed = {.key = "gone", .removed = true, .insertion = 4};
  const StateEntry timed = {.key = std::string("\0\xff", 2), .timer_ms = -5, .insertion = 1};
  const StateEntry empty_key = Entry("", "value of the empty key", 2);
  const std::string bytes =
      MustEncode({{"count", 3,
                   {removed, empty_key, timed, Entry("z", std::string(5000, 'v'), 3)}}});
  const auto entries = Read(bytes, "count", 3);
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_EQ(*entries, (Entries{empty_key, timed, removed, Entry("z", std::string(5000, 'v'), 3)}));
}

TEST_P(StatePartTest, ManyEntriesComeBackByKey) {
  std::vector<std::string> keys = {"", std::string(3, '\0')};
  for (int i = 0; i < 3000; ++i) {
    const uint64_t number = i * 0x9e3779b97f4a7c15u >> (i % 7 * 8);
    const std::string bytes(reinterpret_cast<const char*>(&number), 8);
    keys.push_back(i % 3 == 0 ? bytes : i % 3 == 1 ? "user of " + bytes : bytes.substr(i % 8));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::vector<StatePiece> pieces = {{"count", 1, {}}};
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string& key = keys[i * 1009 % keys.size()];
    pieces[0].entries.push_back(Entry(key, "value of " + key, i));
  }
  const auto entries = Read(MustEncode(pieces), "count", 1);
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ((*entries)[i].key, keys[i]);
    EXPECT_EQ((*entries)[i].value, "value of " + keys[i]);
  }
  pieces[0].entries.push_back(Entry(keys[500], "another", 1));
  EXPECT_TRUE(absl::IsInvalidArgument(codec_->Encode(pieces).status()));
}

TEST_P(StatePartTest, PiecesAreKeptApart) {
  const std::string bytes = MustEncode({{"b", 256, {Entry("k", "b256", 1)}},
                                        {"ab", 1, {Entry("k", "ab1", 1)}},
                                        {"b", 1, {Entry("k", "b1", 1)}},
                                        {"a", 1, {}},
                                        {std::string(300, 'a'), 1, {Entry("k", "long", 1)}}});
  EXPECT_EQ(Read(bytes, "b", 1)->at(0).value, "b1");
  EXPECT_EQ(Read(bytes, "b", 256)->at(0).value, "b256");
  EXPECT_EQ(Read(bytes, "ab", 1)->at(0).value, "ab1");
  EXPECT_EQ(Read(bytes, std::string(300, 'a'), 1)->at(0).value, "long");
  EXPECT_TRUE(Read(bytes, "a", 1)->empty());
  EXPECT_TRUE(absl::IsNotFound(Read(bytes, "a", 2).status()));
}

TEST_P(StatePartTest, AnEmptyPartIsAPart) {
  const std::string bytes = MustEncode({});
  EXPECT_TRUE((*codec_->Open("part-x", bytes))->Verify().ok());
}

TEST_P(StatePartTest, WhatCannotBeEncodedIsRefused) {
  const StateEntry removed = {.key = "k", .removed = true, .value = "v"};
  const std::vector<std::vector<StatePiece>> bad = {
      {{"a", 1, {}}, {"a", 1, {}}},
      {{"a", 1, {Entry("k", "1", 1), Entry("k", "2", 2)}}},
      {{"", 1, {}}},
      {{std::string(65536, 'a'), 1, {}}},
      {{"a", 1, {removed}}},
  };
  for (const auto& pieces : bad) {
    EXPECT_TRUE(absl::IsInvalidArgument(codec_->Encode(pieces).status()));
  }
}

TEST_P(StatePartTest, DamageIsFoundAndNeverChangesWhatIsRead) {
  std::vector<StatePiece> pieces = {{"count", 1, {}}, {"other", 2, {}}};
  for (int i = 0; i < 40; ++i) {
    pieces[i % 2].entries.push_back(Entry("key" + std::to_string(i), std::to_string(i * i), i));
  }
  const std::string bytes = MustEncode(pieces);
  const Entries expected = *Read(bytes, "count", 1);
  for (size_t i = 0; i < bytes.size(); i += 7) {
    std::string changed = bytes;
    changed[i] ^= 4;
    const auto entries = Read(changed, "count", 1);
    if (entries.ok()) {
      ASSERT_EQ(*entries, expected) << i;
    } else {
      ASSERT_TRUE(IsDamaged(entries.status())) << i << ": " << entries.status();
      ASSERT_NE(entries.status().message().find("part-x"), std::string::npos);
    }
  }
  for (size_t size = 0; size < bytes.size(); size += 11) {
    ASSERT_TRUE(IsDamaged(Read(bytes.substr(0, size), "count", 1).status())) << size;
  }
}

TEST_P(StatePartTest, AnErrorOfTheVisitorEndsTheReading) {
  const std::string bytes = MustEncode({{"a", 1, {Entry("k", "1", 1), Entry("l", "2", 2)}}});
  int visited = 0;
  const absl::Status status = (*codec_->Open("part-x", bytes))->Read("a", 1, [&](StateEntry&&) {
    ++visited;
    return absl::CancelledError("enough");
  });
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_EQ(visited, 1);
}

INSTANTIATE_TEST_SUITE_P(All, StatePartTest, testing::Values("plain", "rocksdb"),
                         [](const auto& info) { return info.param; });

TEST(RocksDbStatePartTest, PartsAreCompressed) {
  std::vector<StatePiece> pieces = {{"count", 1, {}}};
  for (int i = 0; i < 10000; ++i) {
    pieces[0].entries.push_back(Entry("word" + std::to_string(i), "the same value", i));
  }
  const size_t plain = NewPlainStatePartCodec()->Encode(pieces)->size();
  EXPECT_LT(NewRocksDbStatePartCodec()->Encode(pieces)->size(), plain / 2);
}

}  // namespace
}  // namespace sluice
