// Keys of types of the user's own: a struct, and a class with a Codec.
#include <cctype>

#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

// Equal in its numbers' canonical form: 0 is -0, and NaN is NaN.
struct Shelf {
  std::string hall;
  double metres;
};

// Equal without regard to case.
class Caseless {
 public:
  Caseless() = default;
  explicit Caseless(std::string_view text) {
    for (const unsigned char c : text) lower_.push_back(static_cast<char>(std::tolower(c)));
  }
  const std::string& lower() const { return lower_; }

 private:
  std::string lower_;
};

// "a0.5" is hall a, half a metre.
auto ShelfWithOne(std::string_view word) {
  const Shelf shelf{std::string(word.substr(0, 1)), std::stod(std::string(word.substr(1)))};
  return std::pair{shelf, int64_t{1}};
}
auto CaselessWithOne(std::string_view word) { return std::pair{Caseless(word), int64_t{1}}; }
auto Sum = std::plus<>();

std::optional<int64_t> AddUp(std::span<const int64_t> values, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t value : values) sum += value;
  return sum;
}

}  // namespace
}  // namespace sluice::golden

template <>
struct sluice::Codec<sluice::golden::Caseless> {
  static constexpr std::string_view kName = "golden.Caseless";
  static void Encode(const golden::Caseless& value, std::string& out) { out += value.lower(); }
  static bool Decode(std::string_view bytes, golden::Caseless& value) {
    value = golden::Caseless(bytes);
    return true;
  }
  static void AppendText(const golden::Caseless& value, std::string& out) { out += value.lower(); }
};

namespace sluice::golden {

std::vector<Job> UserKeyJobs() {
  return {
      SLUICE_GOLDEN_JOB(words.Map(ShelfWithOne).ReduceByKey(Sum)),
      SLUICE_GOLDEN_JOB(words.Map(ShelfWithOne).UpdateStateByKey("totals", AddUp)),
      SLUICE_GOLDEN_JOB(words.Map(CaselessWithOne).ReduceByKey(Sum)),
      SLUICE_GOLDEN_JOB(words.Map(CaselessWithOne).UpdateStateByKey("totals", AddUp)),
  };
}

}  // namespace sluice::golden
