#include "bench/jobs/replay.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "bench/lines.h"

namespace sluice::bench {
void Replay::Run(Receiving<std::string>& receiving) {
  const Lines lines = MakeLines(options_.lines, options_.vocabulary, 0, options_.marked);
  const std::vector<std::string_view> views = Views(lines);
  std::ofstream(options_.folder + "/ready") << "ready" << std::endl;
  while (!std::filesystem::exists(options_.folder + "/go")) {
    if (receiving.WaitStopping(10)) return;
  }
  const std::optional<int64_t> logged = receiving.LastLogged("replay");
  if (!logged.has_value()) return;
  const auto start = std::chrono::steady_clock::now();
  const auto first = static_cast<uint64_t>(*logged);
  uint64_t sent = first;
  while (!receiving.stopping() && (options_.stop_after == 0 || sent < options_.stop_after)) {
    const uint64_t at = sent % views.size();
    if (at == 0 && std::filesystem::exists(options_.folder + "/stop")) break;
    const uint64_t count = std::min(options_.lines_per_store, views.size() - at);
    const std::span<const std::string_view> next(views.data() + at, count);
    const auto number = static_cast<int64_t>(sent) + 1;
    if (!receiving.Store(next, {.producer = "replay", .first = number})) continue;
    sent += count;
    if (options_.rate == 0) continue;
    const auto due = start + std::chrono::microseconds((sent - first) * 1'000'000 / options_.rate);
    const auto wait = due - std::chrono::steady_clock::now();
    const auto wait_ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count();
    if (wait_ms > 0 && receiving.WaitStopping(wait_ms)) return;
  }
  if (!receiving.stopping()) std::ofstream(options_.folder + "/sent") << sent << std::endl;
  while (!receiving.WaitStopping(1000)) {
  }
}

}  // namespace sluice::bench
