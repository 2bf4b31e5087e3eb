// A state of thousands of times what is read: each record is an ID, and the state of an ID holds
// how often it came and a text of 10,000 bytes that is its own. Sums, by ID % 8, of records and of
// ID times how often it had come; a state that is not as it was left makes them absurd.
#include <charconv>

#include "examples/source.h"
#include "sluice/sluice.h"

using namespace std::chrono_literals;

struct Sum {
  int64_t records = 0;
  int64_t ids = 0;
};

struct Held {
  int64_t came = 0;
  std::string text;
};

Sum Add(const Sum& a, const Sum& b) { return {a.records + b.records, a.ids + b.ids}; }

// Six bits of chance to a byte, so that no compression makes it small.
std::string TextOf(int64_t id) {
  std::string text(10'000, ' ');
  uint64_t chance = static_cast<uint64_t>(id) * 0x9e3779b97f4a7c15u + 1;
  for (char& c : text) {
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(' ' + (chance >> 58));
  }
  return text;
}

std::pair<int64_t, Sum> Came(int64_t id, std::optional<int64_t>, sluice::State<Held>& state) {
  Held held = state.GetOption().value_or(Held{0, TextOf(id)});
  if (held.text != TextOf(id)) return {id % 8, Sum{INT32_MIN, 0}};
  ++held.came;
  state.Update(held);
  return {id % 8, Sum{1, id * held.came}};
}

std::optional<Sum> AddToTotal(std::span<const Sum> sums, std::optional<Sum> total) {
  for (const Sum& sum : sums) total = Add(total.value_or(Sum{}), sum);
  return total;
}

void BuildJob(sluice::StreamingContext& ssc) {
  examples::Lines(ssc)
      .Map([](std::string_view line) {
        int64_t id = 0;
        std::from_chars(line.data(), line.data() + line.size(), id);
        return std::pair{id, int64_t{1}};
      })
      .MapWithState("held", Came)
      .ReduceByKey(Add)
      .UpdateStateByKey("sums", AddToTotal)
      .SaveAsTextFiles(ssc.args().Get("output") + "/sums");
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "wide", .batch_interval = 200ms}, BuildJob);
}
