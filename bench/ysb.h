// The Yahoo streaming benchmark's data (B5): advertisements, campaigns and events, in binary and as
// JSON. All of it is a pure function of the arguments.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::bench {

struct YsbEvent {  // 64 bytes
  int64_t time_ms = 0;
  int64_t user = 0;
  int64_t page = 0;
  int64_t ad = 0;
  int64_t ad_type = 0;
  int64_t event_type = 0;
  int64_t ip = 0;
  int64_t pad = 0;
};
inline constexpr int64_t kYsbView = 0;
inline constexpr int64_t kYsbWindowMs = 10'000;
inline constexpr int64_t kYsbEventsPerMs = 100;

// Ten advertisements of each campaign; campaigns are 0 .. n - 1.
struct YsbAds {
  std::vector<std::pair<int64_t, int64_t>> numbers;      // (ad, campaign)
  std::vector<std::pair<std::string, int64_t>> uuids;    // the same in JSON
};
YsbAds MakeYsbAds(int64_t campaigns);

// `count` events in the order of their times, from 0 on; and how much time they span.
std::vector<YsbEvent> MakeYsbEvents(const YsbAds& ads, uint64_t count);
int64_t YsbSpanMs(uint64_t count);

// The same events as JSON, one behind the other; at least 64 bytes follow the last.
struct YsbTexts {
  std::string bytes;
  std::vector<std::string_view> events;
};
YsbTexts MakeYsbTexts(const YsbAds& ads, uint64_t count);

// Moves all events by `ms`, in place.
void AdvanceYsb(std::vector<YsbEvent>& events, int64_t ms);
void AdvanceYsb(YsbTexts& texts, int64_t ms);

// How often a campaign was viewed in a window of event time.
struct YsbRow {
  int64_t campaign = 0;
  int64_t window = 0;
  int64_t views = 0;
  auto operator<=>(const YsbRow&) const = default;
};

}  // namespace sluice::bench
