// Glom, FlatMapValues, Sample and unions of many.
#include <cmath>

#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

TEST(Narrow, GlomGivesOneRecordPerPartitionAlsoOfAnEmptyOne) {
  ScriptedProgram program(
      [](StreamingContext&, DStream<std::string> lines) { lines.Glom().Print(100); });
  EXPECT_EQ(program.Parts({{"a", "b"}, {}, {"c"}}),
            (std::vector<Rows>{{"[a,b]"}, {"[]"}, {"[c]"}}));
}

TEST(Narrow, FlatMapValuesKeepsKeysAndOrder) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.Map([](std::string_view line) { return std::pair{line.substr(0, 1), line.substr(1)}; })
        .FlatMapValues([](const std::string& letters) {
          return std::vector<char>(letters.begin(), letters.end());
        })
        .MapValues([](char letter) { return std::string(2, letter); })
        .Print(100);
  });
  EXPECT_EQ(program.Parts({{"kxy", "l", "mz"}}),
            (std::vector<Rows>{{"(k,xx)", "(k,yy)", "(m,zz)"}}));
}

TEST(Narrow, FlatMapValuesTakesViewsOfTheValue) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.Map([](std::string_view line) { return std::pair{int64_t{7}, line}; })
        .FlatMapValues([](std::string_view text) {
          return std::vector<std::string_view>{text.substr(0, 1), text.substr(1)};
        })
        .Print(100);
  });
  EXPECT_EQ(program.Parts({{"abc"}}), (std::vector<Rows>{{"(7,a)", "(7,bc)"}}));
}

TEST(Narrow, UnionOfManyHasAllPartitionsInOrder) {
  ScriptedProgram program([](StreamingContext& ssc, DStream<std::string> lines) {
    DStream<std::string> x = lines.Map([](std::string_view l) { return std::string(l) + "x"; });
    DStream<std::string> y = lines.Map([](std::string_view l) { return std::string(l) + "y"; });
    ssc.Union({lines, x, y}).Print(100);
  });
  EXPECT_EQ(program.Parts({{"a"}, {"b"}}),
            (std::vector<Rows>{{"a"}, {"b"}, {"ax"}, {"bx"}, {"ay"}, {"by"}}));
}

// ---- Sample -----------------------------------------------------------------------------------

const std::vector<Rows> kTwoThousand(2, Rows(1000, "row"));

void SampleTwice(StreamingContext&, DStream<std::string> lines) {
  auto numbered = lines.MapPartitions([](std::span<const std::string> rows) {
    std::vector<int64_t> numbers(rows.size());
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i);
    return numbers;
  });
  numbered.Sample(0.25).Print(10000);
  numbered.Sample(0.25).Print(10000);
  numbered.Sample(0.5).Sample(0.5).Print(10000);
  numbered.Sample(0).Print(10000);
  numbered.Sample(1).Print(10000);
}

TEST(Sample, KeepsAboutThatShareInOrder) {
  ScriptedProgram program(SampleTwice);
  for (const size_t output : {0, 1, 2}) {
    const auto parts = program.Parts(kTwoThousand, output);
    for (const Rows& part : parts) {  // 1000 rows, p 0.25: five standard deviations are 68
      EXPECT_GT(part.size(), 180u);
      EXPECT_LT(part.size(), 320u);
      EXPECT_TRUE(std::is_sorted(part.begin(), part.end(), [](const auto& a, const auto& b) {
        return std::stoi(a) < std::stoi(b);
      }));
    }
  }
  EXPECT_EQ(program.Sorted(kTwoThousand, 3).size(), 0u);
  EXPECT_EQ(program.Sorted(kTwoThousand, 4).size(), 2000u);
}

TEST(Sample, IsTheSameWhenTheJobRunsAgain) {
  ScriptedProgram first(SampleTwice), second(SampleTwice);
  for (int batch = 0; batch < 3; ++batch) {
    EXPECT_EQ(first.Parts(kTwoThousand), second.Parts(kTwoThousand));
  }
}

TEST(Sample, DiffersByBatchTaskOperatorAndInstance) {
  ScriptedProgram program(SampleTwice), other(SampleTwice, 2, /*job_instance=*/9);
  const auto parts = program.Parts(kTwoThousand, 0);
  EXPECT_NE(parts[0], parts[1]);
  EXPECT_NE(parts, other.Parts(kTwoThousand, 0));
  EXPECT_NE(parts, ScriptedProgram(SampleTwice).Parts(kTwoThousand, 1));
  EXPECT_NE(parts, program.Parts(kTwoThousand, 0));
}

// Of a thousand records that a union has twice, about 250 come twice; and none would come once if
// both halves were sampled alike.
TEST(Sample, DiffersBetweenTheHalvesOfAUnionWithItself) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.Union(lines).Sample(0.5).CountByValue().Filter(
        [](const std::pair<std::string_view, int64_t>& p) { return p.second == 2; }).Print(10000);
    lines.Union(lines.Union(lines)).Sample(0.5).CountByValue().Filter(
        [](const std::pair<std::string_view, int64_t>& p) { return p.second == 3; }).Print(10000);
  });
  Rows numbers;
  for (int i = 0; i < 1000; ++i) numbers.push_back(std::to_string(i));
  const Rows twice = program.Sorted({numbers});
  EXPECT_GT(twice.size(), 180u);
  EXPECT_LT(twice.size(), 320u);
  const Rows thrice = program.SortedOf(1);  // an eighth
  EXPECT_GT(thrice.size(), 70u);
  EXPECT_LT(thrice.size(), 180u);
}

TEST(Sample, RefusesAFractionThatIsNone) {
  for (const double fraction : {-0.1, 1.5, std::nan("")}) {
    StreamingContext ssc({.name = "test", .batch_interval = std::chrono::seconds(1)});
    ssc.QueueStream<std::string>(RecordQueue<std::string>()).Sample(fraction).Print();
    EXPECT_EQ(ssc.Check().exit_code, 3);
    EXPECT_TRUE(ssc.Check().message.starts_with("Sample needs a fraction between 0 and 1"));
  }
}

}  // namespace
}  // namespace sluice
