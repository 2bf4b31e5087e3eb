// StreamingContext and flags: what a program may ask, and what is told of its mistakes.
#include <gtest/gtest.h>

#include "common/plan/graph.h"
#include "driver/api/api.h"

namespace sluice {
namespace {

Args Typed(const std::vector<std::string>& words) { return Args::Parse(words); }

TEST(Args, BothFormsAndPositionalWords) {
  Args args = Typed({"in", "--a=1", "--b", "2", "--c=", "out", "--d", "--", "--e"});
  EXPECT_EQ(args.GetInt("a"), 1);
  EXPECT_EQ(args.Get("b"), "2");
  EXPECT_EQ(args.Get("c", "x"), "");
  EXPECT_TRUE(args.GetBool("d"));
  EXPECT_FALSE(args.Has("e"));
  EXPECT_EQ(args.positional(), (std::vector<std::string>{"in", "out", "--e"}));
  EXPECT_TRUE(args.Check().ok());
}

TEST(Args, TheLastOfARepeatedFlagCounts) {
  EXPECT_EQ(Typed({"--a=1", "--a=2"}).GetInt("a"), 2);
}

TEST(Args, DefaultsAndTypes) {
  Args args = Typed({"--half=0.5", "--no=false"});
  EXPECT_EQ(args.GetDouble("half"), 0.5);
  EXPECT_FALSE(args.GetBool("no", true));
  EXPECT_EQ(args.GetInt("absent", 7), 7);
  EXPECT_EQ(args.Get("text", "default"), "default");
  EXPECT_TRUE(args.Check().ok());
}

TEST(Args, MistakesAreNamed) {
  Args missing = Typed({});
  missing.Get("output");
  EXPECT_EQ(missing.Check().message, "missing flag --output");
  EXPECT_EQ(missing.Check().exit_code, 2);
  EXPECT_TRUE(missing.Check(/*complete=*/false).ok());

  Args unknown = Typed({"--outptu=x"});
  unknown.Get("output", "");
  EXPECT_EQ(unknown.Check().message, "unknown flag --outptu; did you mean --output?");
  EXPECT_EQ(unknown.Check(false).exit_code, 2);

  Args malformed = Typed({"--port=80x"});
  EXPECT_EQ(malformed.GetInt("port", 1), 1);
  EXPECT_EQ(malformed.Check().message, "--port needs a whole number; it is \"80x\"");
}

TEST(Context, NamesStreamsTheSameOnEveryBuild) {
  uint64_t prints[2];
  for (uint64_t& print : prints) {
    StreamingContext ssc({.name = "test"});
    auto a = ssc.SocketTextStream("localhost", 1);
    auto b = ssc.SocketTextStream("localhost", 2);
    ssc.Union({a, b, ssc.PushStream("orders")}).Print();
    EXPECT_TRUE(ssc.Check().ok()) << ssc.Check().message;
    EXPECT_EQ(ssc.graph().node(1).source.stream, "socket-1");
    EXPECT_EQ(ssc.graph().node(2).label, "PushStream orders");
    print = ssc.graph().Fingerprint();
  }
  EXPECT_EQ(prints[0], prints[1]);
}

TEST(Context, RefusesWhatIsWrong) {
  const auto message = [](void (*build)(StreamingContext&)) {
    StreamingContext ssc({.name = "test"});
    build(ssc);
    ssc.PushStream("rest").Print();
    return ssc.Check().message;
  };
  EXPECT_EQ(message([](StreamingContext& ssc) { ssc.SocketTextStream("h", 70000).Print(); }),
            "a port must be between 1 and 65535; it is 70000");
  EXPECT_NE(message([](StreamingContext& ssc) { ssc.PushStream("no/slash").Print(); }), "");
  EXPECT_EQ(message([](StreamingContext& ssc) { ssc.PushStream("rest").Print(); }),
            "two streams are named rest");
  EXPECT_EQ(message([](StreamingContext& ssc) {
              ssc.PushStream("a").SaveAsTextFiles("relative/path");
            }),
            "SaveAsTextFiles: the prefix must be an absolute path or s3://bucket/prefix: "
            "relative/path");
  // It ran, and nothing could ever be published.
  EXPECT_EQ(message([](StreamingContext& ssc) { ssc.PushStream("a").SaveAsTextFiles(""); }),
            "SaveAsTextFiles: the prefix is empty; it must be an absolute path or "
            "s3://bucket/prefix");
  EXPECT_EQ(message([](StreamingContext&) {}), "");
}

TEST(Context, ConstantsAreComputedOnceAndTravel) {
  int calls = 0;
  const auto ask = [&](StreamingContext& ssc) {
    return ssc.Constant("cities", [&] {
      ++calls;
      return std::vector<std::string>{"Bern", "Rome"};
    });
  };
  StreamingContext driver({.name = "test"});
  EXPECT_EQ(ask(driver), (std::vector<std::string>{"Bern", "Rome"}));
  StreamingContext executor({.name = "test"}, driver.constants());
  EXPECT_EQ(ask(executor), (std::vector<std::string>{"Bern", "Rome"}));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(executor.Constant("other", [] { return 1; }), 1);
  EXPECT_EQ(executor.Check().exit_code, 3);
}

// No executor came up: in theirs nobody had asked for it.
TEST(Context, AFlagThatAConstantAsksForIsKnownWhereItsValueIs) {
  const auto build = [](StreamingContext& ssc) {
    ssc.Constant("limit", [&] { return ssc.args().GetInt("limit"); });
    ssc.PushStream("a").Print();
  };
  const JobOptions options{.name = "test", .args = Args::Parse({"--limit=3"})};
  StreamingContext driver(options);
  build(driver);
  EXPECT_TRUE(driver.Check().ok());
  StreamingContext executor(options, driver.constants());
  build(executor);
  EXPECT_EQ(executor.Check().message, "");
}

TEST(Context, AConstantWhoseNameNoMessageCanCarryIsRefused) {
  StreamingContext ssc({.name = "test"});
  ssc.Constant("caf\xe9", [] { return 1; });
  EXPECT_EQ(ssc.Check().exit_code, 2);
}

// They were ambiguous between batches, options and a queue.
TEST(Context, BatchesOfAQueueMayBeWrittenDown) {
  StreamingContext ssc({.name = "test", .batch_interval = std::chrono::seconds(1)});
  ssc.QueueStream<int64_t>({{1}}).Print();
  ssc.QueueStream<std::string>({{"a"}, {"b", "c"}, {}}, {.test_only = true}).Print();
  ssc.QueueStream<std::string>({}).Print();
  std::vector<uint32_t> counts, scratch;
  for (const Node& node : ssc.graph().nodes()) {
    if (node.kind != NodeKind::kSource) continue;
    for (int batch = 0; batch < 2; ++batch) {
      const std::string encoded = *node.source.queue->Next(0);
      counts.push_back(DecodeBatch(encoded, scratch)->count);
    }
  }
  EXPECT_EQ(counts, (std::vector<uint32_t>{1, 0, 1, 2, 0, 0}));
}

TEST(Context, TheGraphIsFixedOnceStarted) {
  class Runner final : public JobRunner {
   public:
    Outcome Start(StreamingContext&) override { return {}; }
    std::optional<Outcome> Await(std::optional<std::chrono::milliseconds> timeout) override {
      return timeout.has_value() ? std::nullopt : std::optional(Outcome{5, "ended"});
    }
    Outcome Stop(StopOptions) override { return {}; }
  };
  InstallJobRunner([]() -> std::unique_ptr<JobRunner> { return std::make_unique<Runner>(); });
  StreamingContext ssc = StreamingContext::GetOrCreate(
      {.name = "test"}, [](StreamingContext& context) { context.PushStream("a").Print(); });
  EXPECT_EQ(ssc.AwaitTermination().exit_code, 3);
  EXPECT_TRUE(ssc.Start().ok());
  EXPECT_EQ(ssc.Start().exit_code, 3);
  EXPECT_FALSE(ssc.AwaitTerminationOrTimeout(std::chrono::milliseconds(1)).has_value());
  EXPECT_EQ(ssc.AwaitTermination().message, "ended");
  ssc.PushStream("late").Print();
  EXPECT_EQ(ssc.Check().message,
            "the graph is fixed once the job has started: PushStream late");
}

// Takes what a receiver stores.
class ListSink final : public ReceiverSink {
 public:
  bool Store(std::string_view record) override {
    records.emplace_back(record);
    return records.size() < stop_at;
  }
  std::optional<int64_t> StoreReliably(EncodedBatch stored, std::string_view producer,
                                       int64_t first) override {
    const BatchView batch = stored.view();
    for (uint32_t i = 0; i < batch.count; ++i) records.emplace_back(batch.record(i));
    last_producer = producer;
    return first + batch.count - 1;
  }
  std::optional<int64_t> LastLogged(std::string_view) override { return 0; }
  bool stopping() const override { return records.size() >= stop_at; }
  bool WaitStopping(int64_t) override { return stopping(); }
  void ReportError(std::string_view) override {}

  std::vector<std::string> records;
  std::string last_producer;
  size_t stop_at = 100;
};

class Numbers final : public Receiver<std::pair<std::string, int64_t>> {
 public:
  explicit Numbers(int64_t from) : from_(from) {}
  void Run(Receiving<std::pair<std::string, int64_t>>& receiving) override {
    receiving.Store(std::pair<std::string_view, int64_t>("one", from_));
    const std::vector<std::pair<std::string, int64_t>> more{{"two", from_ + 1}};
    last = receiving.Store(std::span(more), {.producer = "p", .first = 8});
  }
  std::optional<int64_t> last;

 private:
  int64_t from_;
};

TEST(Context, AReceiverOfOnesOwnStoresEncodedRecords) {
  StreamingContext ssc({.name = "test"});
  auto stream = ssc.ReceiverStream(Numbers(5));
  static_assert(std::same_as<decltype(stream)::RecordType, std::pair<std::string, int64_t>>);
  ListSink sink;
  ssc.graph().node(0).source.receiver->New()->Run(sink);
  ASSERT_EQ(sink.records.size(), 2u);
  std::pair<std::string_view, int64_t> view;
  ASSERT_TRUE((DecodeRecord<std::pair<std::string, int64_t>>(sink.records[1], view)));
  EXPECT_EQ(view.second, 6);
  EXPECT_EQ(sink.last_producer, "p");
}

}  // namespace
}  // namespace sluice
