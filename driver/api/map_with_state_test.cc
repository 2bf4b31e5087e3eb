// MapWithState: forms of its function, misuse of the state, and what a plain model gives.
#include <map>
#include <random>

#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

auto KeyAndNumber = [](std::string_view line) {
  return std::pair{line.substr(0, 1), static_cast<int64_t>(line.size()) - 1};
};

// The running total of a key, as text.
std::string Total(std::string_view key, std::optional<int64_t> value, State<int64_t>& total) {
  total.Update(total.GetOption().value_or(0) + *value);
  return std::string(key) + std::to_string(total.Get());
}

TEST(MapWithState, CallsTheFunctionForEveryRecordInOrder) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    auto totals = lines.Map(KeyAndNumber).MapWithState("totals", Total, {.partitions = 1});
    static_assert(std::same_as<decltype(totals)::RecordType, std::string>);
    totals.Print(100);
  });
  EXPECT_EQ(program.Parts({{"b--", "a-", "b---"}, {"a--", "c"}}),
            (std::vector<Rows>{{"b2", "a1", "b5", "a3", "c0"}}));
  EXPECT_EQ(program.Parts({{"a"}}), (std::vector<Rows>{{"a3"}}));
  EXPECT_EQ(program.Parts({}), (std::vector<Rows>{{}}));
}

TEST(MapWithState, TakesFunctionsOfAllForms) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    auto pairs =
        lines.Map([](std::string_view line) { return std::pair{line.substr(0, 1), line}; });
    // Owned key and value, the batch time, a state of text, an optional result.
    pairs.MapWithState("owned", [](BatchTime time, const std::string& key,
                                   std::optional<std::string> value, State<std::string>& last)
                                    -> std::optional<std::string> {
      const std::string before = last.GetOption().value_or("");
      last.Update(*value);
      if (before.empty()) return std::nullopt;
      return key + ":" + before + "@" + std::to_string(time.ms());
    }).Print(100);
    // Views, a generic function, a result that is a view.
    pairs.MapWithState<uint8_t>("views", [](std::string_view, auto value, auto& seen) {
      seen.Update(1);
      return *value;
    }).Print(100);
    // A key that is a number and a result that is a pair.
    lines.Map([](std::string_view line) { return std::pair{line.size(), 1}; })
        .MapWithState("lengths", [](uint64_t length, std::optional<int>, State<int>& count) {
          count.Update(count.Exists() ? count.Get() + 1 : 1);
          return std::pair{length, count.Get()};
        }).Print(100);
  });
  EXPECT_EQ(program.Sorted({{"a1", "b22", "a3"}}), Rows{"a:a1@1000"});
  EXPECT_EQ(program.SortedOf(1), (Rows{"a1", "a3", "b22"}));
  EXPECT_EQ(program.SortedOf(2), (Rows{"(2,1)", "(2,2)", "(3,1)"}));
  EXPECT_EQ(program.Sorted({{"b4"}}), Rows{"b:b22@2000"});
}

TEST(MapWithState, GivesAStreamLikeAnyOther) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    auto totals = [](const auto& stream, BatchTime) {
      return stream.Map(KeyAndNumber).MapWithState("totals", Total);
    };
    const auto made = lines.Transform(totals);
    const DStream<std::string> boxed = made;
    boxed.Union(made.Map([](std::string_view total) { return std::string(total) + "!"; }))
        .Print(100);
    made.StateSnapshots().Join(made.StateSnapshots()).Print(100);
  });
  EXPECT_EQ(program.Sorted({{"b--", "a-"}}), (Rows{"a1", "a1!", "b2", "b2!"}));
  EXPECT_EQ(program.SortedOf(1), (Rows{"(a,(1,1))", "(b,(2,2))"}));
}

// What a call says of its state, or what it throws.
std::string Try(std::string_view, std::optional<std::string_view> value, State<int64_t>& state) {
  const std::string_view what = value.has_value() ? value->substr(1) : "time out";
  if (what == "get") return std::to_string(state.Get());
  if (what == "put") state.Update(1);
  if (what == "remove") state.Remove();
  if (what == "twice") state.Remove(), state.Remove();
  if (what == "revive") state.Remove(), state.Update(2);
  if (what == "time out" && state.Get() == 5) state.Update(6);
  if (what == "time out" && state.Get() == 6) state.Remove();
  if (what == "five") state.Update(5);
  if (what == "six") state.Update(6);
  return std::string(what) + (state.Exists() ? " 1" : " 0") + (state.IsTimingOut() ? "!" : "");
}

void BuildTry(StreamingContext&, DStream<std::string> lines) {
  lines.Map([](std::string_view line) { return std::pair{line.substr(0, 1), line}; })
      .MapWithState("tried", Try, {.idle_timeout = 1s})
      .Print(100);
}

template <class Error>
std::string ErrorOf(ScriptedProgram& program, const std::vector<Rows>& tasks) {
  try {
    program.Parts(tasks);
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing";
}

TEST(MapWithState, ARecordThatDoesNotUpdateCreatesNothing) {
  ScriptedProgram program(BuildTry);
  EXPECT_EQ(program.Sorted({{"alook", "alook"}}), (Rows{"look 0", "look 0"}));
  EXPECT_EQ(program.Sorted({{"aremove"}}), Rows{"remove 0"});
  EXPECT_EQ(program.Sorted({{"aput", "alook"}}), (Rows{"look 1", "put 1"}));
  EXPECT_EQ(program.Sorted({{"aremove", "alook", "aput"}}),
            (Rows{"look 0", "put 1", "remove 0"}));
  EXPECT_EQ(program.Sorted({{"aget"}}), Rows{"1"});
}

TEST(MapWithState, MisuseOfTheStateThrows) {
  ScriptedProgram program(BuildTry);
  EXPECT_EQ(ErrorOf<std::out_of_range>(program, {{"aget"}}),
            "State::Get: the key has no state; ask Exists first");
  EXPECT_EQ(ErrorOf<std::invalid_argument>(program, {{"aput", "atwice"}}),
            "State::Remove: the state has been removed in this call");
  EXPECT_EQ(ErrorOf<std::invalid_argument>(program, {{"arevive"}}),
            "State::Update: the state has been removed in this call");
}

TEST(MapWithState, AStateThatTimesOutCannotBeChanged) {
  for (const auto& [value, error] :
       {std::pair{"afive", "State::Update: the state is timing out"},
        std::pair{"asix", "State::Remove: the state is timing out"}}) {
    ScriptedProgram program(BuildTry);
    program.Parts({{value}});
    EXPECT_EQ(program.Sorted({}), Rows{});  // the second is not over
    EXPECT_EQ(ErrorOf<std::invalid_argument>(program, {}), error);
  }
}

TEST(MapWithState, ANegativeIdleTimeoutIsRefused) {
  StreamingContext context({.name = "test", .batch_interval = 1s});
  context.QueueStream<std::string>(RecordQueue<std::string>())
      .Map(KeyAndNumber)
      .MapWithState("totals", Total, {.idle_timeout = -1s})
      .Print();
  EXPECT_EQ(context.Check().message, "MapWithState totals: idle_timeout must not be negative");
}

TEST(MapWithState, AnEndlessIdleTimeoutNeverFires) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.Map(KeyAndNumber)
        .MapWithState("totals", Total, {.idle_timeout = std::chrono::milliseconds::max()})
        .StateSnapshots()
        .Print(100);
  });
  EXPECT_EQ(program.Sorted({{"a-"}}), Rows{"(a,1)"});
  for (int batch = 0; batch < 10; ++batch) EXPECT_EQ(program.Sorted({}), Rows{"(a,1)"});
}

// Keys that begin as the entries of the operator's own do.
TEST(MapWithState, AnyBytesMayBeAKey) {
  for (const uint32_t partitions : {1, 5}) {
    ScriptedProgram program(
        [](StreamingContext&, DStream<std::string> lines) {
          auto ones = lines.Map([](std::string_view line) { return std::pair{line, int64_t{1}}; });
          auto counted = ones.MapWithState("counts", Total, {.initial_state = {{"\xff", 40}}});
          counted.StateSnapshots().Print(100);
          counted.Print(100);
        },
        partitions);
    EXPECT_EQ(program.Sorted({{"", "\xff", "\xff\xff", "\xff" "begun", "\xff"}}),
              (Rows{"(,1)", "(\xff,42)", "(\xff" "begun,1)", "(\xff\xff,1)"}));
    EXPECT_EQ(program.Sorted({{"\xff\xff"}}),
              (Rows{"(,1)", "(\xff,42)", "(\xff" "begun,1)", "(\xff\xff,2)"}));
    EXPECT_EQ(program.SortedOf(1), Rows{"\xff\xff" "2"});
  }
}

// The first batch takes the initial state; once its keys are gone it does not come again.
TEST(MapWithState, AnInitialStateIsTakenOnce) {
  ScriptedProgram program([](StreamingContext& ssc, DStream<std::string> lines) {
    const auto initial = ssc.Constant("initial", [] {
      return std::vector<std::pair<std::string, int64_t>>{{"a", 1}, {"b", 2}, {"a", 3}};
    });
    lines.Map([](std::string_view line) { return std::pair{line.substr(0, 1), line}; })
        .MapWithState("tried", Try, {.idle_timeout = 1s, .initial_state = initial})
        .StateSnapshots()
        .Print(100);
  });
  EXPECT_EQ(program.Sorted({{"alook"}}), (Rows{"(a,3)", "(b,2)"}));
  EXPECT_EQ(program.Sorted({{"blook"}}), (Rows{"(a,3)", "(b,2)"}));
  EXPECT_EQ(program.Sorted({}), Rows{"(b,2)"});
  EXPECT_EQ(program.Sorted({}), Rows{});
  EXPECT_EQ(program.Sorted({{"blook"}}), Rows{});
}

// Of many records to a key, and of few.
TEST(MapWithState, KeepsNumbersWhoseBytesBeginLikeAMark) {
  for (const int64_t each : {5, 1}) {
    ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
      lines.FlatMap([](std::string_view each) {
        std::vector<std::pair<int64_t, int64_t>> rows;
        for (const int64_t key : {-1, 255, 1, 65535}) {
          rows.insert(rows.end(), each.size(), std::pair(key, int64_t{1}));
        }
        return rows;
      }).MapWithState("counts", [](int64_t key, std::optional<int64_t> one, State<int64_t>& count)
                                    -> std::optional<std::pair<int64_t, int64_t>> {
        count.Update(count.GetOption().value_or(0) + *one);
        if (count.Get() % 5 != 0) return std::nullopt;
        return std::pair(key, count.Get());
      }).Print(100);
    });
    for (int64_t total = 5; total <= 15; total += 5) {
      Rows expected;
      for (const int64_t key : {-1, 1, 255, 65535}) {
        expected.push_back("(" + std::to_string(key) + "," + std::to_string(total) + ")");
      }
      const Rows line = {std::string(static_cast<size_t>(each), '+')};
      for (int64_t batch = 1; batch < 5 / each; ++batch) program.Sorted({line});
      EXPECT_EQ(program.Sorted({line}), expected);
    }
  }
}

// ---- against a plain model ------------------------------------------------------------------

struct Held {
  int64_t value = 0;
  int64_t touched_ms = 0;
  int number = 0;  // of getting state
};

// Removes at a multiple of five, only looks at a multiple of three.
std::string Step(BatchTime time, std::string_view key, std::optional<int64_t> value,
                 State<int64_t>& state) {
  const std::string at = std::string(key) + "@" + std::to_string(time.ms()) + " ";
  if (!value.has_value()) return at + "out " + std::to_string(state.Get());
  if (*value % 5 == 0) state.Remove();
  else if (*value % 3 != 0) state.Update(state.GetOption().value_or(0) * 2 + *value);
  return at + (state.Exists() ? std::to_string(state.Get()) : "none");
}

// The same over a state that has no fixed size.
std::string StepInText(BatchTime time, std::string_view key, std::optional<int64_t> value,
                       State<std::string>& state) {
  const std::string at = std::string(key) + "@" + std::to_string(time.ms()) + " ";
  if (!value.has_value()) return at + "out " + state.Get();
  if (*value % 5 == 0) {
    state.Remove();
  } else if (*value % 3 != 0) {
    const int64_t before = state.Exists() ? std::stoll(state.Get()) : 0;
    state.Update(std::to_string(before * 2 + *value));
  }
  return at + (state.Exists() ? state.Get() : "none");
}

class Model {
 public:
  explicit Model(int64_t idle_ms) : idle_ms_(idle_ms) {}

  // One partition: what Step gives, in order.
  Rows Batch(int64_t batch_ms, const std::vector<Rows>& tasks) {
    Rows out;
    std::vector<std::string> order;  // keys of the batch
    std::vector<std::string> got;    // those that had state in it, by its first update
    std::map<std::string, Held> before = held_;
    for (const Rows& task : tasks) {
      for (const std::string& line : task) {
        const std::string key = line.substr(0, 1);
        const int64_t value = static_cast<int64_t>(line.size()) - 1;
        if (std::find(order.begin(), order.end(), key) == order.end()) order.push_back(key);
        if (value % 5 == 0) held_.erase(key);
        else if (value % 3 != 0) held_[key].value = held_[key].value * 2 + value;
        if (value % 5 != 0 && value % 3 != 0 &&
            std::find(got.begin(), got.end(), key) == got.end()) {
          got.push_back(key);
        }
        const std::string at = key + "@" + std::to_string(batch_ms) + " ";
        out.push_back(at + (held_.contains(key) ? std::to_string(held_[key].value) : "none"));
      }
    }
    for (const std::string& key : order) {
      if (held_.contains(key)) held_[key].touched_ms = batch_ms;
    }
    for (const std::string& key : got) {  // a key that is there before and after keeps its place
      if (!held_.contains(key)) continue;
      held_[key].number = before.contains(key) ? before[key].number : ++numbers_;
    }
    TimeOut(batch_ms, out);
    return out;
  }
  Rows Snapshot() const {
    std::map<int, std::string> rows;
    for (const auto& [key, held] : held_) {
      rows[held.number] = "(" + key + "," + std::to_string(held.value) + ")";
    }
    Rows all;
    for (const auto& [number, row] : rows) all.push_back(row);
    return all;
  }

 private:
  void TimeOut(int64_t batch_ms, Rows& out) {
    std::map<std::pair<int64_t, int>, std::string> idle;
    for (const auto& [key, held] : held_) {
      if (held.touched_ms + idle_ms_ < batch_ms) idle[{held.touched_ms, held.number}] = key;
    }
    for (const auto& [when, key] : idle) {
      out.push_back(key + "@" + std::to_string(batch_ms) + " out " +
                    std::to_string(held_[key].value));
      held_.erase(key);
    }
  }

  const int64_t idle_ms_;
  std::map<std::string, Held> held_;
  int numbers_ = 0;
};

template <auto kStep>
void Steps(StreamingContext&, DStream<std::string> lines) {
  auto steps = lines.Map(KeyAndNumber).MapWithState("steps", kStep, {.idle_timeout = 3s});
  steps.Print(1000);
  steps.StateSnapshots().Print(1000);
}

// The same over keys and states of one size, of which a batch has many or few to a key.
void StepsByNumber(StreamingContext&, DStream<std::string> lines) {
  const auto by_number = [](const std::pair<std::string, int64_t>& row) {
    return std::pair<int64_t, int64_t>(row.first[0], row.second);
  };
  const auto step = [](BatchTime time, int64_t key, std::optional<int64_t> value,
                       State<int64_t>& state) {
    return Step(time, std::string(1, static_cast<char>(key)), value, state);
  };
  auto steps =
      lines.Map(KeyAndNumber).Map(by_number).MapWithState("steps", step, {.idle_timeout = 3s});
  steps.Print(1000);
  const auto by_text = [](const std::pair<int64_t, int64_t>& row) {
    return std::pair(std::string(1, static_cast<char>(row.first)), row.second);
  };
  steps.StateSnapshots().Map(by_text).Print(1000);
}

class MapWithStateTest
    : public testing::TestWithParam<void (*)(StreamingContext&, DStream<std::string>)> {};
INSTANTIATE_TEST_SUITE_P(States, MapWithStateTest,
                         testing::Values(Steps<Step>, Steps<StepInText>, StepsByNumber));

TEST_P(MapWithStateTest, IsWhatThePlainModelGives) {
  for (const uint32_t partitions : {1, 2, 7}) {
    ScriptedProgram program(GetParam(), partitions);
    Model model(3000);
    std::mt19937 random(partitions);
    size_t timeouts = 0;
    for (int64_t batch_ms = 1000; batch_ms <= 300'000; batch_ms += 1000) {
      std::vector<Rows> tasks(random() % 3);
      for (Rows& task : tasks) {
        for (size_t i = random() % 4; i > 0; --i) {
          task.push_back(static_cast<char>('a' + random() % 12) + std::string(random() % 8, '-'));
        }
      }
      Rows expected = model.Batch(batch_ms, tasks), snapshot = model.Snapshot();
      for (const std::string& row : expected) timeouts += row.find("out") != std::string::npos;
      if (partitions == 1) {
        EXPECT_EQ(program.Parts(tasks), std::vector<Rows>{expected}) << batch_ms;
      } else {
        std::sort(expected.begin(), expected.end());
        EXPECT_EQ(program.Sorted(tasks), expected) << batch_ms;
      }
      std::sort(snapshot.begin(), snapshot.end());
      EXPECT_EQ(program.SortedOf(1), snapshot) << batch_ms;
    }
    EXPECT_GT(timeouts, 50u);
  }
}

}  // namespace
}  // namespace sluice
