// What an executor says that cannot write an output where the job driver can.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "checkpoint/memory_object_store.h"
#include "common/event_loop.h"
#include "common/net/local_transport.h"
#include "worker/executor/executor.h"
#include "worker/executor/word_graph.h"

namespace sluice {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

LineageGraph GraphWithFiles() {
  LineageGraph graph = WordGraph();
  for (const char* prefix : {"/out/first", "/out/second"}) {
    Output files;
    files.kind = OutputKind::kTextFiles;
    files.label = "SaveAsTextFiles";
    files.prefix = prefix;
    files.parent = 1;
    files.kernel = std::make_shared<CopyRows>();
    graph.AddOutput(std::move(files));
  }
  return graph;
}

class ScriptedStager : public OutputStager {
 public:
  absl::Status Stage(const StagedPart&, const BatchView&, proto::OutputPart*) override {
    return absl::OkStatus();
  }
  absl::Status Probe(const OutputPlace& place, uint32_t executor) override {
    EXPECT_EQ(place.job_instance, 5u);
    EXPECT_EQ(place.epoch, 2u);
    EXPECT_EQ(executor, 1u);
    probed.push_back(place.prefix);
    return answer;
  }

  absl::Status answer;
  std::vector<std::string> probed;
};

class RefusalTest : public testing::Test, private Transport::Handler {
 protected:
  // What it answers to a job driver that has marked the folders of these outputs.
  std::string Refused(const std::vector<uint32_t>& outputs) {
    auto driver = hub_.Open("driver:1", this, &loop_);
    ExecutorOptions options;
    options.job_instance = 5;
    options.epoch = 2;
    options.executor = 1;
    options.job_driver = "driver:1";
    options.worker_id = "w7";
    options.build = [](const proto::ExecutorInit&) -> absl::StatusOr<BuiltGraph> {
      return BuiltGraph{std::make_shared<LineageGraph>(GraphWithFiles()), 100};
    };
    options.objects = &objects_;
    options.outputs = &stager_;
    Executor executor(std::move(options));
    auto link = hub_.Open("executor:1", &executor, &loop_);
    executor.Start(link.get());
    proto::Envelope message;
    proto::ExecutorInit& init = *message.mutable_executor_init();
    init.set_graph_fingerprint(GraphWithFiles().Fingerprint());
    init.set_partitions(2);
    init.set_key_groups(16);
    for (const uint32_t output : outputs) (*init.mutable_conf())[ProbedOutputKey(output)] = "";
    driver->Send("executor:1", message);
    const std::string refused = ready_.get_future().get();
    executor.Stop();
    return refused;
  }

  ScriptedStager stager_;

 private:
  void OnMessage(const std::string&, proto::Envelope message) override {
    if (!message.has_executor_ready() || answered_) return;
    answered_ = true;
    ready_.set_value(message.executor_ready().refused());
  }
  void OnPeerDown(const std::string&, bool) override {}

  std::promise<std::string> ready_;
  bool answered_ = false;
  MemoryObjectStore objects_;
  LocalHub hub_;
  EventLoop loop_{{.name = "links"}};
};

TEST_F(RefusalTest, LooksAtThoseOutputsThatItIsToldTo) {
  EXPECT_EQ(Refused({2}), "");
  EXPECT_THAT(stager_.probed, ElementsAre("/out/second"));
}

TEST_F(RefusalTest, LooksAtNoneUntold) {
  stager_.answer = absl::InternalError("no");
  EXPECT_EQ(Refused({}), "");
  EXPECT_THAT(stager_.probed, IsEmpty());
}

TEST_F(RefusalTest, AnotherFolderIsNamedWithItsWorkerAndWhatToDo) {
  stager_.answer = absl::NotFoundError("no marker");
  EXPECT_THAT(Refused({1, 2}),
              AllOf(HasSubstr("does not see the folder"), HasSubstr("mount it"),
                    HasSubstr("SaveAsTextFiles to /out/first, on worker w7")));
}

TEST_F(RefusalTest, AFolderThatCannotBeWrittenIsNamedWithTheCause) {
  stager_.answer = absl::InternalError("create x: Permission denied");
  EXPECT_THAT(Refused({1}), AllOf(HasSubstr("choose a prefix"), HasSubstr("/out/first"),
                                  HasSubstr("w7: create x: Permission denied")));
}

TEST_F(RefusalTest, WhatMayPassRefusesNothing) {
  stager_.answer = absl::UnavailableError("No space left on device");
  EXPECT_EQ(Refused({1, 2}), "");
  EXPECT_THAT(stager_.probed, ElementsAre("/out/first", "/out/second"));
}

}  // namespace
}  // namespace sluice
