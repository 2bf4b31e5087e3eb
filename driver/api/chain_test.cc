// What fused chains promise: rows are not copied, nothing is allocated per record, views live long
// enough, and every record that crosses a border is stored whole.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "common/plan/graph.h"
#include "driver/api/api.h"

namespace {
int64_t g_allocations = 0;
}  // namespace

void* operator new(size_t size) {
  ++g_allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sluice {
namespace {

using internal::StreamAccess;

// A record that counts its copies.
struct Counted {
  static inline int copies = 0;

  Counted() = default;
  explicit Counted(int64_t n) : n(n) {}
  Counted(const Counted& other) : n(other.n) { ++copies; }
  Counted(Counted&& other) noexcept : n(other.n) {}
  Counted& operator=(const Counted& other) {
    n = other.n;
    ++copies;
    return *this;
  }
  Counted& operator=(Counted&&) noexcept = default;

  int64_t n = 0;
};

}  // namespace

template <>
struct Codec<Counted> {
  static constexpr std::string_view kName = "test.Counted";
  static void Encode(const Counted& value, std::string& out) {
    out.append(reinterpret_cast<const char*>(&value.n), 8);
  }
  static bool Decode(std::string_view bytes, Counted& value) {
    if (bytes.size() != 8) return false;
    std::memcpy(&value.n, bytes.data(), 8);
    return true;
  }
};

namespace {

class ChainTest : public testing::Test {
 protected:
  template <class T>
  DStream<T> Source() {
    return context_.QueueStream<T>(RecordQueue<T>());
  }

  // Runs the stream's chain once over the records.
  template <class T, class Chain, class Source>
  void Run(const DStream<T, Chain>& stream, const std::vector<Source>& records) {
    RecordBatch batch(kFixedSize<Source>);
    for (const Source& record : records) {
      EncodeRecord<Source>(record, batch.bytes());
      batch.EndRecord();
    }
    const internal::RecordKernel<Chain> kernel(StreamAccess::chain(stream));
    out_.Clear();
    out_.SetFixedSize(kernel.output_fixed_size());
    const BatchView view = batch.view();
    const int64_t before = g_allocations;
    Counted::copies = 0;
    kernel.Run(TaskContext(), {&view, 1}, out_);
    allocations_ = g_allocations - before;
    copies_ = Counted::copies;
  }

  template <class T>
  std::vector<T> Out() {
    std::vector<T> all;
    const BatchView view = out_.view();
    Stored<T>().Drive(TaskContext(), {&view, 1},
                      [&](const auto& row) { all.push_back(internal::ToOwned(row)); });
    return all;
  }

  StreamingContext context_{{.name = "test"}};
  RecordBatch out_;
  int64_t allocations_ = 0;
  int copies_ = 0;
};

TEST_F(ChainTest, RowsAreForwardedNotCopied) {
  auto stream = Source<int64_t>()
                    .Map([](int64_t n) { return Counted(n); })
                    .Filter([](const Counted& c) { return c.n % 2 == 0; })
                    .Filter([](const Counted& c) { return c.n != 4; })
                    .FlatMap([](const Counted& c) {
                      return std::array<std::pair<int64_t, Counted>, 1>{{{c.n, Counted(c.n)}}};
                    })
                    .MapValues([](const Counted& c) { return c.n; });
  Run(stream, std::vector<int64_t>{1, 2, 3, 4, 5, 6});
  EXPECT_EQ(copies_, 0);
  EXPECT_EQ((Out<std::pair<int64_t, int64_t>>()),
            (std::vector<std::pair<int64_t, int64_t>>{{2, 2}, {6, 6}}));
}

TEST_F(ChainTest, AWordCountChainAllocatesNothingPerRecord) {
  auto stream = Source<std::string>()
                    .FlatMap(SplitWords)
                    .Filter([](std::string_view word) { return word != "skip"; })
                    .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
                    .MapValues([](int64_t one) { return one + 1; });
  const std::vector<std::string> lines(1000, "some words to skip and a very long one: abcdefghij");
  Run(stream, lines);  // grows the output
  Run(stream, lines);
  EXPECT_EQ(allocations_, 0);
  EXPECT_EQ(out_.count(), 9000u);
}

TEST_F(ChainTest, AFunctionThatWantsTheOwnedRecordReusesOneScratch) {
  auto stream = Source<std::string>()
                    .Filter([](const std::string& line) { return line.size() > 3; })
                    .Map([](const std::string& line) { return line.size(); });
  const std::vector<std::string> lines(1000, "a line that does not fit a small string, really");
  Run(stream, lines);
  Run(stream, lines);
  EXPECT_LE(allocations_, 4);
}

TEST_F(ChainTest, CombiningAllocatesOncePerDistinctKeyAtMost) {
  auto stream = Source<std::string>().FlatMap(SplitWords).Map(
      [](std::string_view word) { return std::pair{word, int64_t{1}}; });
  using Chain = std::remove_cvref_t<decltype(StreamAccess::chain(stream))>;
  internal::CombineKernel<Chain, internal::PairSplit, std::string, int64_t, std::plus<>> kernel(
      StreamAccess::chain(stream), std::plus<>());
  RecordBatch batch;
  for (int i = 0; i < 1000; ++i) batch.Append("to be or not to be that is the longish-word-here");
  const BatchView view = batch.view();
  kernel.Run(TaskContext(), {&view, 1}, 4);
  const int64_t before = g_allocations;
  kernel.Run(TaskContext(), {&view, 1}, 4);
  EXPECT_EQ(g_allocations - before, 0) << "tables and shares are reused";
  uint32_t keys = 0;
  for (const RecordBatch& share : kernel.shares()) keys += share.count();
  EXPECT_EQ(keys, 8u);
}

// Run under AddressSanitizer, these show that views outlive what they view into.

TEST_F(ChainTest, ViewsIntoATemporaryOfTheStepBefore) {
  auto stream = Source<std::string>()
                    .Map([](std::string_view line) {
                      return std::string(line) + " and a good deal more of text behind it";
                    })
                    .FlatMap(SplitWords)
                    .Map([](std::string_view word) { return std::pair{word.substr(0, 3), word}; });
  Run(stream, std::vector<std::string>{"first", "second"});
  const auto rows = Out<std::pair<std::string, std::string>>();
  ASSERT_EQ(rows.size(), 20u);
  EXPECT_EQ(rows[0], (std::pair<std::string, std::string>("fir", "first")));
  EXPECT_EQ(rows[19].second, "it");
}

TEST_F(ChainTest, ViewsInVectorsAndOptionals) {
  auto stream = Source<std::string>().Map([](std::string_view line) {
    return std::tuple{SplitWords(line), line.empty() ? std::nullopt : std::optional(line)};
  });
  Run(stream, std::vector<std::string>{"a b", ""});
  using T = std::tuple<std::vector<std::string>, std::optional<std::string>>;
  const T empty;
  EXPECT_EQ(Out<T>(), (std::vector<T>{T({"a", "b"}, "a b"), empty}));
}

TEST_F(ChainTest, BoxedAndFusedGiveTheSame) {
  auto fused = Source<std::string>().FlatMap(SplitWords);
  DStream<std::string> boxed = fused;
  static_assert(!std::same_as<decltype(fused), decltype(boxed)>);
  EXPECT_EQ(context_.graph().nodes().back().label, "Boxed");
  EXPECT_EQ(context_.graph().nodes().back().inputs[0].chain, "FlatMap");
}

TEST_F(ChainTest, ARecordThatDoesNotDecodeIsAnError) {
  auto stream = Source<std::pair<std::string, int64_t>>().Map(
      [](const std::pair<std::string_view, int64_t>& p) { return p.second; });
  const internal::RecordKernel kernel(StreamAccess::chain(stream));
  RecordBatch batch;
  batch.Append("\x7fnot a pair");
  const BatchView view = batch.view();
  EXPECT_THROW(kernel.Run(TaskContext(), {&view, 1}, out_), std::runtime_error);
}

// An empty view may be a null pointer, of which no byte can be read.
TEST(RowAppender, IsAsAppendingRecordsOneByOne) {
  RecordBatch one_by_one(6), in_rows(6);
  internal::RowAppender<6> appender;
  int n = 0;
  for (const int count : {1, 0, 64, 65, 200}) {  // a batch may be appended to again
    appender.Open(in_rows);
    for (int i = 0; i < count; ++i, ++n) {
      const std::string record = std::to_string(100'000 + n);
      one_by_one.Append(record);
      std::memcpy(appender.Next(), record.data(), 6);
    }
    appender.Close();
    std::string expected, encoded;
    EncodeBatch(one_by_one.view(), expected);
    EncodeBatch(in_rows.view(), encoded);
    EXPECT_EQ(encoded, expected);
  }
}

TEST(CombineTable, AnEmptyKeyMayBeNowhere) {
  internal::CombineTable<int64_t> table;
  const auto make = [](int64_t n) { return n; };
  const auto merge = [](int64_t& total, int64_t n) { total += n; };
  table.Add(std::string_view(), int64_t{1}, make, merge);
  table.Add(std::string_view(""), int64_t{2}, make, merge);
  table.Flush(make, merge);
  ASSERT_EQ(table.entries().size(), 1u);
  EXPECT_EQ(table.entries()[0].value, 3);
  EXPECT_EQ(KeyHash(std::string_view()), KeyHash(""));
}

TEST(CombineTable, KeepsOrderAndKeysOfEveryLength) {
  internal::CombineTable<int64_t> table;
  const auto make = [](int64_t n) { return n; };
  const auto merge = [](int64_t& total, int64_t n) { total += n; };
  for (int round = 0; round < 2; ++round) {
    table.Clear();
    std::vector<std::string> keys;
    for (int i = 0; i < 60'000; ++i) {
      keys.push_back(std::string(static_cast<size_t>(i % 20), 'k') + std::to_string(i));
    }
    for (int repeat = 0; repeat < 3; ++repeat) {
      for (size_t i = 0; i < keys.size(); ++i) {
        table.Add(keys[i], static_cast<int64_t>(i), make, merge);
      }
    }
    table.Flush(make, merge);
    ASSERT_EQ(table.entries().size(), keys.size());
    std::vector<bool> seen(keys.size());
    for (const auto& entry : table.entries()) {
      ASSERT_EQ(entry.value % 3, 0);
      const auto i = static_cast<size_t>(entry.value / 3);
      EXPECT_EQ(table.KeyOf(entry), keys[i]);
      EXPECT_EQ(entry.hash, KeyHash(keys[i]));
      seen[i] = true;
      EXPECT_EQ(table.Find(keys[i]), &entry);
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), static_cast<long>(keys.size()));
    EXPECT_EQ(table.Find("absent"), nullptr);
    EXPECT_EQ(table.Find("absent, and longer than fifteen bytes"), nullptr);
  }
}

template <uint32_t kSize>
void KeepsKeysOfSize() {
  internal::CombineTable<int64_t, kSize> table;
  const auto make = [](int64_t n) { return n; };
  const auto merge = [](int64_t& total, int64_t n) { total += n; };
  std::vector<std::string> keys;
  for (int i = 0; i < 6'000; ++i) {
    std::string key(kSize, '\xff');  // of 16: no byte is left to tell a size or an arena by
    std::memcpy(key.data() + kSize / 2, &i, std::min<size_t>(sizeof i, kSize - kSize / 2));
    if (kSize >= 4 || i < 100) keys.push_back(key);
  }
  for (int repeat = 0; repeat < 3; ++repeat) {
    for (const std::string& key : keys) table.Add(key, int64_t{1}, make, merge);
  }
  table.Flush(make, merge);
  ASSERT_EQ(table.entries().size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto& entry = table.entries()[i];
    EXPECT_EQ(table.KeyOf(entry), keys[i]);
    EXPECT_EQ(entry.hash, KeyHash(keys[i]));
    EXPECT_EQ(entry.value, 3);
    EXPECT_EQ(table.Find(keys[i]), &entry);
  }
  EXPECT_EQ(table.Find(std::string(kSize, 'x')), nullptr);
}

TEST(CombineTable, KeysOfOneSizeAreInlineAndHashAsTheirBytes) {
  KeepsKeysOfSize<1>();
  KeepsKeysOfSize<8>();
  KeepsKeysOfSize<12>();
  KeepsKeysOfSize<15>();
  KeepsKeysOfSize<16>();
}

}  // namespace
}  // namespace sluice
