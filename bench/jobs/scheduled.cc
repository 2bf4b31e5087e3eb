#include "bench/jobs/scheduled.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

namespace sluice::bench {
namespace {

constexpr int kKeptBits = 8;  // of a delay

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int64_t RoundedUp(int64_t us) {
  const auto value = static_cast<uint64_t>(std::max<int64_t>(us, 0));
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - kKeptBits);
  return static_cast<int64_t>((value + (uint64_t{1} << shift) - 1) >> shift << shift);
}

}  // namespace

void Scheduled::Run(Receiving<int64_t>& receiving) {
  std::ofstream(options_.folder + "/ready") << "ready" << std::endl;
  while (!std::filesystem::exists(options_.folder + "/go")) {
    if (receiving.WaitStopping(10)) return;
  }
  int64_t start_us = 0;
  std::ifstream(options_.folder + "/go") >> start_us;
  const int64_t rate = static_cast<int64_t>(options_.rate);
  for (int64_t n = 0; !receiving.stopping(); ++n) {
    const int64_t due_us = start_us + n * 1'000'000 / rate;
    for (int64_t wait_us = due_us - NowUs(); wait_us > 0; wait_us = due_us - NowUs()) {
      if (wait_us > 10'000 && receiving.WaitStopping(wait_us / 1000 - 5)) return;
      if (wait_us <= 10'000) std::this_thread::sleep_for(std::chrono::microseconds(wait_us));
    }
    if (!receiving.Store(due_us)) return;
  }
}

void Delays::Add(int64_t due_us, int64_t records) {
  by_second_[due_us / 1'000'000][RoundedUp(now_us_ - due_us)] += records;
}

void Delays::Note(const std::string& folder, int64_t batch_ms) const {
  std::ofstream file(folder + "/delays", std::ios::app);
  for (const auto& [second, delays] : by_second_) {
    file << batch_ms << ' ' << second;
    for (const auto& [us, records] : delays) file << ' ' << us << ':' << records;
    file << '\n';
  }
}

}  // namespace sluice::bench
