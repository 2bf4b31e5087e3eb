// The lines of the benchmark table, and how what they show is measured.
//
// A line: what was measured, the value, the floor compiled like the job (-O2) and the ratio to it,
// the floor compiled for the machine (-O3 -march=native) and the ratio to that, and whether the
// output was the floor's.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace sluice::bench {

// Of the calling thread; of the whole process, all its threads, user and system.
double ThreadCpuSeconds();
double ProcessCpuSeconds();

double Median(std::vector<double> values);

// Median of the seconds that `body` takes on this thread, behind one run that warms up.
template <class Body>
double MedianSeconds(int runs, const Body& body) {
  body();
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) {
    const double start = ThreadCpuSeconds();
    body();
    seconds.push_back(ThreadCpuSeconds() - start);
  }
  return Median(std::move(seconds));
}

struct Line {
  std::string what;
  double value = 0;        // a rate; higher is better
  std::string unit;
  double floor_o2 = 0;     // 0: there is none to compare with
  double floor_native = 0;
  std::string output;      // "equal", or what was compared
  // Of the value to each floor, where it is not simply their quotient. 0: it is.
  double ratio_o2 = 0;
  double ratio_native = 0;
};
void Show(const Line& line);

// Ends the program with 1 where an output differs from the floor's.
void RequireEqual(bool equal, const std::string& what);

}  // namespace sluice::bench
