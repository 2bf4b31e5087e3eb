#include "worker/executor/task_runner.h"

#include <gtest/gtest.h>

#include "checkpoint/memory_object_store.h"
#include "worker/executor/word_graph.h"

namespace sluice {
namespace {

class NoBlocks : public BlockReader {
 public:
  absl::StatusOr<std::unique_ptr<BlockBytes>> Read(
      const proto::BlockInfo&, const proto::GrantedBatch::Holders&) override {
    return absl::NotFoundError("nobody has it");
  }
};

class Board : public RunningTaskBoard {
 public:
  void Begin(uint32_t slot, int64_t batch_ms, uint32_t stage, uint32_t task) override {
    log += "begin " + std::to_string(slot) + " " + std::to_string(batch_ms) + " " +
           std::to_string(stage) + " " + std::to_string(task) + ";";
  }
  void At(uint32_t slot, uint64_t record) override {
    log += "at " + std::to_string(slot) + " " + std::to_string(record) + ";";
  }
  void End(uint32_t slot) override { log += "end " + std::to_string(slot) + ";"; }
  std::string log;
};

class PassOn : public PartitionOperator {
 public:
  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    for (const Share& share : shares) out.AppendAll(share.records);
  }
  uint32_t output_fixed_size() const override { return 0; }
};
class PassOnFactory : public PartitionOperatorFactory {
 public:
  std::unique_ptr<PartitionOperator> New() const override { return std::make_unique<PassOn>(); }
};

// The words as they are behind one shuffle, and counted behind another, on whose edge a bad one
// throws.
LineageGraph TwoShuffles() {
  const LineageGraph words = WordGraph();
  LineageGraph graph;
  graph.AddNode(words.node(0));
  Node passed;
  passed.kind = NodeKind::kShuffle;
  passed.label = "Pass";
  passed.partition_operator = std::make_shared<PassOnFactory>();
  passed.inputs.push_back({0, "", nullptr, std::make_shared<WordSharesFactory>()});
  graph.AddNode(passed);
  Node counted = words.node(1);
  counted.inputs[0].parent = 1;
  graph.AddNode(counted);
  Output print = words.outputs()[0];
  print.parent = 2;
  graph.AddOutput(print);
  return graph;
}

class TaskRunnerTest : public testing::Test {
 protected:
  TaskRunnerTest() : graph_(WordGraph(1)), plan_(graph_, 2), state_(&plan_) {
    setup_.plan = &plan_;
    setup_.job_instance = 9;
    setup_.batch_interval_ms = 100;
    setup_.blocks = &blocks_;
    setup_.board = &board_;
    runner_ = std::make_unique<TaskRunner>(setup_, 3);
    MemoryObjectStore objects;
    const auto codec = NewPlainStatePartCodec();
    EXPECT_TRUE(state_.Load({}, 0, Ownership({2}), &objects, codec.get()).ok());
  }

  RunTasks Command(StageId stage, bool rebuild = false) {
    RunTasks run;
    run.batch_ms = 100;
    run.presence = std::make_shared<const Presence>(plan_, 1);
    run.stage = stage;
    run.rebuild = rebuild;
    run.batch = std::make_shared<proto::GrantedBatch>();
    return run;
  }
  TaskOutcome Map(const std::vector<std::string>& words) {
    input_.Clear();
    auto& inlined = *input_.add_pieces()->mutable_inlined();
    inlined.set_batch(EncodedWords(words));
    inlined.set_records(words.size());
    TaskWork work;
    work.input = &input_;
    return runner_->Run(Command(0), work, state_);
  }
  TaskOutcome Reduce(const std::vector<std::string>& words, uint32_t partition,
                     bool rebuild = false) {
    share_.set_batch(EncodedWords(words));
    share_.set_records(words.size());
    TaskWork work;
    work.task = partition;
    work.shares = {&share_};
    return runner_->Run(Command(1, rebuild), work, state_);
  }

  LineageGraph graph_;
  StagePlan plan_;
  StateStore state_;
  NoBlocks blocks_;
  Board board_;
  TaskSetup setup_;
  std::unique_ptr<TaskRunner> runner_;
  proto::GrantedBatch::Task input_;
  proto::ShareBundle::Share share_;
};

TEST_F(TaskRunnerTest, AMapTaskMakesSharesAndCountsWhatItRead) {
  const TaskOutcome outcome = Map({"a", "b", "c"});
  const auto& result = std::get<TaskResult>(outcome);
  EXPECT_EQ(result.records_read, 3u);
  ASSERT_EQ(result.shares.size(), 2u);
  EXPECT_EQ(result.shares[0].records + result.shares[1].records, 3u);
}

TEST_F(TaskRunnerTest, ALargeShareTravelsInPiecesInOrder) {
  setup_.share_piece_bytes = 4;
  runner_ = std::make_unique<TaskRunner>(setup_, 3);
  const TaskOutcome outcome = Map({"aa", "ba", "longa", "ca"});
  std::vector<std::string> pieces;
  for (const OutShare& share : std::get<TaskResult>(outcome).shares) {
    std::vector<uint32_t> scratch;
    const auto view = DecodeBatch(share.batch, scratch);
    ASSERT_TRUE(view.has_value());
    EXPECT_EQ(view->count, share.records);
    std::string& words = pieces.emplace_back();
    for (uint32_t i = 0; i < view->count; ++i) words += std::string(view->record(i)) + " ";
  }
  EXPECT_EQ(pieces, (std::vector<std::string>{"aa ba ", "longa ", "ca "}));
}

TEST_F(TaskRunnerTest, ARecordThatNoMessageCanHoldFailsItsTaskByName) {
  setup_.share_piece_bytes = 4;
  setup_.share_record_bytes_max = 8;
  runner_ = std::make_unique<TaskRunner>(setup_, 3);
  EXPECT_TRUE(std::holds_alternative<TaskResult>(Map({"a", "eightbyt"})));
  const TaskOutcome outcome = Map({"a", "ninebytes"});
  const auto& failed = std::get<FailedTask>(outcome);
  EXPECT_TRUE(failed.own_fault);
  EXPECT_EQ(failed.failure.cause(),
            "a record of 9 bytes for a shuffle, which takes 8 at most");
}

TEST_F(TaskRunnerTest, AReduceTaskFoldsAndPrintsOneRowAboveTheLimit) {
  const TaskOutcome outcome = Reduce({"a", "b", "c", "a"}, 1);
  const auto& result = std::get<TaskResult>(outcome);
  ASSERT_EQ(result.outputs.size(), 1u);
  EXPECT_EQ(result.outputs[0].piece(), 1u);
  EXPECT_EQ(result.outputs[0].records(), 3u);
  EXPECT_EQ(result.outputs[0].printed_size(), 2);
  EXPECT_EQ(result.outputs[0].printed(0), "a 2");
  ASSERT_EQ(result.states.size(), 1u);
  EXPECT_EQ(result.states[0].entries(), 3u);
  EXPECT_EQ(result.folded.at(0).second, 4u);
}

TEST_F(TaskRunnerTest, ARebuildChangesStateAndStagesNothing) {
  const TaskOutcome outcome = Reduce({"a"}, 0, true);
  EXPECT_TRUE(std::get<TaskResult>(outcome).outputs.empty());
  EXPECT_EQ(std::get<TaskResult>(outcome).states.at(0).entries(), 1u);
}

TEST_F(TaskRunnerTest, AnExceptionIsAFailureAndTheBoardIsCleared) {
  const TaskOutcome outcome = Map({kBadWord});
  const auto& failed = std::get<FailedTask>(outcome);
  EXPECT_TRUE(failed.own_fault);
  EXPECT_EQ(failed.failure.cause(), "a bad word");
  EXPECT_EQ(board_.log, "begin 3 100 0 0;end 3;");
  EXPECT_TRUE(std::holds_alternative<TaskResult>(Map({"fine"})));
}

TEST_F(TaskRunnerTest, ABlockThatCannotBeHadIsNoFaultOfTheTask) {
  input_.add_pieces()->mutable_block()->mutable_name()->set_number(4);
  TaskWork work;
  work.input = &input_;
  const TaskOutcome outcome = runner_->Run(Command(0), work, state_);
  EXPECT_FALSE(std::get<FailedTask>(outcome).own_fault);
  EXPECT_EQ(std::get<FailedTask>(outcome).failure.source(), "block 4 of stream 0");
}

// A sound record was left out in its stead, and the bad one ended the job at every start.
TEST_F(TaskRunnerTest, ARecordThatIsLeftOutKeepsItsPlaceWhenABlockBeforeItIsLost) {
  auto& inlined = *input_.add_pieces()->mutable_inlined();
  inlined.set_batch(EncodedWords({"a", kBadWord, "b"}));
  inlined.set_records(3);
  input_.add_lost_records(100);
  proto::GrantedBatch batch;
  batch.set_lacks_blocks(true);
  batch.add_left_out()->add_records(101);
  RunTasks run = Command(0, /*rebuild=*/true);
  run.batch = std::make_shared<const proto::GrantedBatch>(batch);
  TaskWork work;
  work.input = &input_;
  const TaskOutcome outcome = runner_->Run(run, work, state_);
  ASSERT_TRUE(std::holds_alternative<TaskResult>(outcome));
  const auto& shares = std::get<TaskResult>(outcome).shares;
  ASSERT_EQ(shares.size(), 2u);
  EXPECT_EQ(shares[0].records + shares[1].records, 2u);
}

TEST_F(TaskRunnerTest, ABadRecordIsToldByItsPlaceAmongWhatWasPlanned) {
  setup_.bad_records_max = 10;
  runner_ = std::make_unique<TaskRunner>(setup_, 3);
  for (int piece = 0; piece < 2; ++piece) {
    auto& inlined = *input_.add_pieces()->mutable_inlined();
    inlined.set_batch(EncodedWords({"a", piece == 0 ? "b" : kBadWord}));
    inlined.set_records(2);
    input_.add_lost_records(10);
  }
  TaskWork work;
  work.input = &input_;
  const TaskOutcome outcome = runner_->Run(Command(0), work, state_);
  ASSERT_TRUE(std::holds_alternative<TaskResult>(outcome));
  const auto& result = std::get<TaskResult>(outcome);
  ASSERT_EQ(result.left_out->records_size(), 1);
  EXPECT_EQ(result.left_out->records(0), 23u);
  EXPECT_EQ(result.letters.at(0).record(), 1);
}

TEST_F(TaskRunnerTest, BehindAShuffleARebuildThatLacksBlocksLooksForBadRowsAnew) {
  const LineageGraph graph = TwoShuffles();
  const StagePlan plan(graph, 2);
  setup_.plan = &plan;
  setup_.bad_records_max = 10;
  StateStore state(&plan);
  runner_ = std::make_unique<TaskRunner>(setup_, 3);
  share_.set_batch(EncodedWords({"a", kBadWord, "b"}));
  share_.set_records(3);
  TaskWork work;
  work.shares = {&share_};
  RunTasks run = Command(1, /*rebuild=*/true);
  run.presence = std::make_shared<const Presence>(plan, 1);
  EXPECT_TRUE(std::holds_alternative<FailedTask>(runner_->Run(run, work, state)));
  proto::GrantedBatch batch;
  batch.set_lacks_blocks(true);
  run.batch = std::make_shared<const proto::GrantedBatch>(batch);
  const TaskOutcome outcome = runner_->Run(run, work, state);
  ASSERT_TRUE(std::holds_alternative<TaskResult>(outcome));
  uint64_t rows = 0;
  for (const OutShare& share : std::get<TaskResult>(outcome).shares) rows += share.records;
  EXPECT_EQ(rows, 2u);
  EXPECT_TRUE(std::get<TaskResult>(outcome).letters.empty());
}

TEST_F(TaskRunnerTest, LettersAreFoldedBehindTheSharesAndRowsComeBehindTheOperatorsOwn) {
  const LineageGraph graph = TwoShuffles();
  const StagePlan plan(graph, 2);
  setup_.plan = &plan;
  setup_.bad_records_max = 10;
  StateStore state(&plan);
  runner_ = std::make_unique<TaskRunner>(setup_, 3);
  share_.set_batch(EncodedWords({"a", "b"}));
  share_.set_records(2);
  proto::GrantedBatch batch;
  for (const std::string word : {"c", kBadWord, "d"}) {
    proto::LetterInput& letter = *batch.add_letters();
    letter.set_stage(1);
    letter.set_is_row(word != "d");
    letter.mutable_records()->set_batch(EncodedWords({word}));
    letter.mutable_records()->set_records(1);
  }
  TaskWork work;
  work.shares = {&share_};
  RunTasks run = Command(1);
  run.presence = std::make_shared<const Presence>(plan, 1);
  run.batch = std::make_shared<const proto::GrantedBatch>(batch);
  const TaskOutcome outcome = runner_->Run(run, work, state);
  ASSERT_TRUE(std::holds_alternative<TaskResult>(outcome));
  const TaskResult& result = std::get<TaskResult>(outcome);
  uint64_t rows = 0;
  for (const OutShare& share : result.shares) rows += share.records;
  EXPECT_EQ(rows, 4u);
  EXPECT_EQ(result.records_read, 3u);
  EXPECT_EQ(result.folded.at(0).second, 2u);
  ASSERT_EQ(result.letters.size(), 1u);
  EXPECT_EQ(result.letters[0].record(), 4);  // behind a, b, d and c
  EXPECT_EQ(result.letters[0].raw(), kBadWord);
  EXPECT_EQ(result.letters[0].operator_key(), plan.OperatorKey(1));
}

TEST_F(TaskRunnerTest, AFailedAttemptLeavesNoState) {
  share_.set_batch("no batch");
  TaskWork work;
  work.shares = {&share_};
  EXPECT_TRUE(std::holds_alternative<FailedTask>(runner_->Run(Command(1), work, state_)));
  const TaskOutcome outcome = Reduce({"a"}, 0);
  EXPECT_EQ(std::get<TaskResult>(outcome).outputs[0].printed(0), "a 1");
}

}  // namespace
}  // namespace sluice
