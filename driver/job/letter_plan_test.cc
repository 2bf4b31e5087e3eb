#include "driver/job/letter_plan.h"

#include <stdexcept>

#include "common/encoded_batch.h"
#include "common/key_hash.h"
#include "common/plan/key_groups.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr uint32_t kGroups = 1024;

// A source, a window that slides every second batch, and behind it an operator with state; and one
// without state that reads the source twice.
LineageGraph Graph(std::shared_ptr<const KeyPartitioner> partitioner = nullptr) {
  LineageGraph graph;
  Node source;
  source.source.stream = "orders";
  graph.AddNode(source);
  const auto add = [&](const std::string& label, const std::string& state, NodeId parent,
                       int64_t slide) -> Node& {
    static Node node;
    node = Node();
    node.kind = NodeKind::kShuffle;
    node.label = label;
    node.state_name = state;
    node.record_type = "(text,int64)";
    node.slide_batches = slide;
    node.inputs.push_back({parent, "Map", nullptr, nullptr});
    return node;
  };
  graph.AddNode(add("Window", "window", 0, 2));
  Node& totals = add("UpdateStateByKey", "totals", 1, 2);
  totals.share_type = "(text,text)";
  totals.partitioner = partitioner;
  graph.AddNode(totals);
  Node& join = add("Join", "", 0, 1);
  join.inputs.push_back({0, "Filter", nullptr, nullptr});
  graph.AddNode(join);
  return graph;
}
constexpr StageId kTotals = 2, kJoin = 3;

class LetterPlanTest : public testing::Test {
 protected:
  explicit LetterPlanTest(uint32_t partitions = 7) : graph_(Graph()), plan_(graph_, partitions) {
    proto::Entry entry;
    entry.mutable_job_begun()->set_job_instance(1);
    entry.mutable_job_begun()->set_batch_interval_ms(100);
    entry.mutable_job_begun()->set_key_groups(kGroups);
    EXPECT_TRUE(state_.Apply(entry).ok());
  }
  proto::Letter OfKey(StageId stage, const std::string& key) {
    proto::Letter letter;
    letter.set_batch_ms(100);
    letter.set_number(++number_);
    letter.set_operator_key(plan_.OperatorKey(stage));
    letter.set_record_type(plan_.ShareType(stage));
    letter.set_record(-1);
    letter.set_key(key);
    letter.add_values("first");
    letter.add_values("other");
    letter.add_runs()->set_values(2);
    return letter;
  }
  proto::Letter OfRow(StageId stage, uint32_t task) {
    proto::Letter letter = OfKey(stage, "");
    letter.clear_values();
    letter.clear_runs();
    letter.set_record(3);
    letter.set_raw("a row");
    letter.set_task(task);
    letter.set_record_type("(text,int64)");
    return letter;
  }
  std::string Refused(const proto::Letter& letter) {
    return std::string(PlaceOfLetter(plan_, kGroups, letter).status().message());
  }
  void Wish(const proto::Letter& letter) {
    proto::Entry entry;
    auto& name = *entry.mutable_letters_replayed()->add_letters();
    name.set_batch_ms(letter.batch_ms());
    name.set_number(letter.number());
    *entry.mutable_letters_replayed()->add_behind() = letter;
    EXPECT_TRUE(state_.Apply(entry).ok());
  }
  proto::Composition Plan(int64_t batch_ms) {
    proto::Entry entry;
    auto& composition = *entry.mutable_planned()->mutable_composition();
    composition.set_batch_ms(batch_ms);
    PlanLetters(plan_, state_, composition);
    EXPECT_TRUE(state_.Apply(entry).ok());
    return composition;
  }

  const LineageGraph graph_;
  StagePlan plan_;
  JobState state_;
  uint32_t number_ = 0;
};

TEST_F(LetterPlanTest, AKeyGoesToThePartitionThatItHasNow) {
  for (const uint32_t partitions : {1, 2, 7}) {
    plan_ = StagePlan(graph_, partitions);
    for (const std::string key : {"a", "b", "c", "d"}) {
      const auto place = PlaceOfLetter(plan_, kGroups, OfKey(kJoin, key));
      ASSERT_TRUE(place.ok());
      EXPECT_EQ(place->stage, kJoin);
      EXPECT_EQ(place->partition, PartitionOf(KeyHash(key), kGroups, partitions));
    }
  }
}

TEST_F(LetterPlanTest, AKeyGoesWhereThePartitionerOfTheProgramSays) {
  class Last : public KeyPartitioner {
    uint32_t PartitionOf(std::string_view key, uint32_t partitions) const override {
      if (key == "bad") throw std::out_of_range("no partition 9");
      return partitions - 1;
    }
  };
  const LineageGraph graph = Graph(std::make_shared<Last>());
  const StagePlan plan(graph, 7);
  EXPECT_EQ(PlaceOfLetter(plan, kGroups, OfKey(kTotals, "a"))->partition, 6u);
  EXPECT_THAT(std::string(PlaceOfLetter(plan, kGroups, OfKey(kTotals, "bad")).status().message()),
              HasSubstr("no partition 9"));
}

TEST_F(LetterPlanTest, ARowGoesToItsFormerPartitionAsFarAsThereIsOne) {
  EXPECT_EQ(PlaceOfLetter(plan_, kGroups, OfRow(kJoin, 5))->partition, 5u);
  EXPECT_EQ(PlaceOfLetter(plan_, kGroups, OfRow(kJoin, 9))->partition, 2u);
}

TEST_F(LetterPlanTest, WhatHasNoPlaceIsRefusedByName) {
  proto::Letter letter = OfKey(kTotals, "a");
  letter.clear_operator_key();
  EXPECT_THAT(Refused(letter), HasSubstr("a former release"));
  letter = OfKey(kTotals, "a");
  letter.set_operator_key("state gone");
  EXPECT_THAT(Refused(letter), HasSubstr("not in the program: state gone"));
  letter = OfKey(kTotals, "a");
  letter.set_record_type("(text,int32)");
  EXPECT_THAT(Refused(letter), HasSubstr("(text,int32)"));
  EXPECT_THAT(Refused(letter), HasSubstr("state totals has (text,text)"));
  letter = OfKey(kTotals, "a");
  letter.clear_values();
  letter.clear_runs();
  EXPECT_THAT(Refused(letter), HasSubstr("nothing had come"));
}

TEST_F(LetterPlanTest, ALetterThatIsNotWholeIsRefused) {
  proto::Letter letter = OfKey(kTotals, "a");
  letter.mutable_runs(0)->set_values(3);
  EXPECT_FALSE(Refused(letter).empty());
  letter = OfKey(kTotals, "a");
  letter.mutable_runs(0)->set_input(1);  // it has one
  EXPECT_FALSE(Refused(letter).empty());
  letter = OfKey(kTotals, "a");
  letter.mutable_runs(0)->set_fixed_size(8);
  EXPECT_FALSE(Refused(letter).empty());
  letter = OfRow(kTotals, 0);
  letter.set_fixed_size(8);
  EXPECT_FALSE(Refused(letter).empty());
}

TEST_F(LetterPlanTest, ABatchTakesWhatWaitsOnceAndEachValueByItsInput) {
  proto::Letter letter = OfKey(kJoin, "a");
  letter.mutable_runs(0)->set_values(1);
  auto& second = *letter.add_runs();
  second.set_input(1);
  second.set_values(1);
  Wish(letter);
  Wish(OfRow(kJoin, 5));
  const uint64_t waiting = state_.letters().waiting_bytes();
  const proto::Composition batch = Plan(300);
  ASSERT_EQ(batch.letters_size(), 3);
  EXPECT_GE(waiting, batch.ByteSizeLong()) << "the bound of what waits is one of plans";
  EXPECT_EQ(batch.letters(0).input(), 0u);
  EXPECT_EQ(batch.letters(1).input(), 1u);
  EXPECT_EQ(batch.letters(1).letter_number(), letter.number());
  std::vector<uint32_t> scratch;
  const auto view = DecodeBatch(batch.letters(1).records().batch(), scratch);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->record(0), "other");
  EXPECT_TRUE(batch.letters(2).is_row());
  EXPECT_EQ(batch.letters(2).partition(), 5u);
  EXPECT_EQ(Plan(400).letters_size(), 0);
  EXPECT_EQ(state_.letters().waiting_bytes(), 0u);
}

TEST_F(LetterPlanTest, WhatIsBehindAWindowWaitsUntilItSlides) {
  Wish(OfKey(kTotals, "a"));
  Wish(OfRow(kTotals, 0));
  EXPECT_EQ(Plan(300).letters_size(), 0);
  JobState restored;
  restored.Restore(state_.Keep(1));
  EXPECT_EQ(restored.letters().behind().size(), 2u);
  EXPECT_EQ(Plan(400).letters_size(), 2);
}

TEST_F(LetterPlanTest, WhoseOperatorIsGoneGoesOnWaiting) {
  proto::Letter letter = OfKey(kJoin, "a");
  letter.set_operator_key("state gone");
  Wish(letter);
  EXPECT_EQ(Plan(300).letters_size(), 0);
  EXPECT_EQ(state_.letters().behind().size(), 1u);
}

}  // namespace
}  // namespace sluice
