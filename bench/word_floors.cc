#include "bench/word_floors.h"

namespace sluice::bench {
namespace {

double Rate(const Lines& lines, double seconds) {
  return static_cast<double>(lines.ends.size()) / seconds * 1e-6;
}

// The faster of two ways to count words.
template <class Direct, class Ring>
double Best(const Lines& lines, int runs, WordSums& sums, const Direct& direct, const Ring& ring) {
  WordSums other;
  const double by_direct = MedianSeconds(runs, [&] { sums = direct(lines); });
  const double by_ring = MedianSeconds(runs, [&] { other = ring(lines); });
  RequireEqual(sums == other, "floors of word count");
  return Rate(lines, std::min(by_direct, by_ring));
}

}  // namespace

GrepFloors MeasureGrepFloors(const Lines& lines, int runs) {
  GrepFloors floors;
  uint64_t found = 0;
  const auto rate = [&](uint64_t (*grep)(const Lines&)) {
    return Rate(lines, MedianSeconds(runs, [&] { found = grep(lines); }));
  };
  floors.o2 = rate(floors_o2::GrepByLine);
  floors.found = found;
  floors.native = rate(floors_native::GrepByLine);
  Show({"B1 Grep: one search over the whole buffer", rate(floors_native::GrepWholeBuffer),
        "M lines/CPU-s", floors.o2, floors.native, found == floors.found ? "equal" : "differs"});
  RequireEqual(found == floors.found, "floors of Grep");
  return floors;
}

WordFloors MeasureWordFloors(const Lines& lines, const std::string& name, int runs) {
  WordFloors floors;
  WordSums sums;
  floors.o2 = Best(lines, runs, floors.sums, floors_o2::CountWordsDirect,
                   floors_o2::CountWordsRing);
  floors.native =
      Best(lines, runs, sums, floors_native::CountWordsDirect, floors_native::CountWordsRing);
  RequireEqual(sums == floors.sums, name);
  return floors;
}

void ShowPlainLoop(const Lines& lines, const std::string& name, const WordFloors& floors) {
  const double start = ThreadCpuSeconds();
  const WordSums sums = floors_o2::CountWordsPlainly(lines);
  const double seconds = ThreadCpuSeconds() - start;
  RequireEqual(sums == floors.sums, name + ", plain loop");
  Show({name + ": plain loop", Rate(lines, seconds), "M lines/CPU-s", floors.o2, floors.native,
        "equal"});
}

}  // namespace sluice::bench
