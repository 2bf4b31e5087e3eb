#include "bench/table.h"

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace sluice::bench {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

std::string Floor(double floor, double ratio, double value) {
  if (floor == 0) return "";
  char text[64];
  std::snprintf(text, sizeof(text), "%.2f (r %.2f)", floor, ratio != 0 ? ratio : value / floor);
  return text;
}

}  // namespace

double ThreadCpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double ProcessCpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Show(const Line& line) {
  std::printf("%-50s | %8.2f %-16s | %-16s | %-16s | %s\n", line.what.c_str(), line.value,
              line.unit.c_str(), Floor(line.floor_o2, line.ratio_o2, line.value).c_str(),
              Floor(line.floor_native, line.ratio_native, line.value).c_str(), line.output.c_str());
  std::fflush(stdout);
}

void RequireEqual(bool equal, const std::string& what) {
  if (equal) return;
  std::fprintf(stderr, "%s: the output differs from the floor's\n", what.c_str());
  std::exit(1);
}

}  // namespace sluice::bench
