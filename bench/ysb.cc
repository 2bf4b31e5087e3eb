#include "bench/ysb.h"

#include <charconv>
#include <cstdio>
#include <cstring>

#include "bench/random.h"

namespace sluice::bench {
namespace {

constexpr int64_t kAdsPerCampaign = 10;
constexpr int64_t kUsers = 100, kPages = 100;
constexpr const char* kAdTypes[] = {"banner", "modal", "sponsored-search", "mail", "mobile"};
constexpr const char* kEventTypes[] = {"view", "click", "purchase"};
constexpr int64_t kTextEpochMs = 1'700'000'000'000;  // 13 digits, now and after all passes

std::string Uuid(uint64_t high, uint64_t low) {
  char text[40];
  std::snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%012llx",
                static_cast<unsigned>(high >> 32), static_cast<unsigned>(high >> 16 & 0xffff),
                static_cast<unsigned>(high & 0xffff), static_cast<unsigned>(low >> 48),
                static_cast<unsigned long long>(low & 0xffffffffffff));
  return text;
}

std::vector<std::string> Uuids(int64_t count, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<std::string> uuids(static_cast<size_t>(count));
  for (std::string& uuid : uuids) {
    const uint64_t high = random.Next();
    uuid = Uuid(high, random.Next());
  }
  return uuids;
}

// Indexes into the sets that an event's fields come from, drawn in the order of the schema.
struct Draw {
  size_t user, page, ad, ad_type, event_type;
};
Draw Next(SplitMix64& random, size_t ads) {
  Draw draw;
  draw.user = random.Below(kUsers);
  draw.page = random.Below(kPages);
  draw.ad = random.Below(ads);
  draw.ad_type = random.Below(std::size(kAdTypes));
  draw.event_type = random.Below(std::size(kEventTypes));
  return draw;
}

constexpr std::string_view kTimeKey = "\"event_time\": \"";

}  // namespace

YsbAds MakeYsbAds(int64_t campaigns) {
  const int64_t count = campaigns * kAdsPerCampaign;
  const std::vector<std::string> uuids = Uuids(count, 1);
  SplitMix64 random(2);
  YsbAds ads;
  for (int64_t i = 0; i < count; ++i) {
    ads.numbers.emplace_back(static_cast<int64_t>(random.Next() >> 1), i / kAdsPerCampaign);
    ads.uuids.emplace_back(uuids[static_cast<size_t>(i)], i / kAdsPerCampaign);
  }
  return ads;
}

int64_t YsbSpanMs(uint64_t count) { return static_cast<int64_t>(count) / kYsbEventsPerMs; }

std::vector<YsbEvent> MakeYsbEvents(const YsbAds& ads, uint64_t count) {
  SplitMix64 random(42);
  std::vector<YsbEvent> events(count);
  for (uint64_t i = 0; i < count; ++i) {
    const Draw draw = Next(random, ads.numbers.size());
    events[i] = {YsbSpanMs(i),
                 static_cast<int64_t>(draw.user),
                 static_cast<int64_t>(draw.page),
                 ads.numbers[draw.ad].first,
                 static_cast<int64_t>(draw.ad_type),
                 static_cast<int64_t>(draw.event_type),
                 0x01020304,
                 0};
  }
  return events;
}

YsbTexts MakeYsbTexts(const YsbAds& ads, uint64_t count) {
  const std::vector<std::string> users = Uuids(kUsers, 3), pages = Uuids(kPages, 4);
  SplitMix64 random(42);
  YsbTexts texts;
  std::vector<size_t> ends;
  texts.bytes.reserve(count * 270 + 64);
  for (uint64_t i = 0; i < count; ++i) {
    const Draw draw = Next(random, ads.uuids.size());
    std::string& out = texts.bytes;
    out.append("{\"user_id\": \"").append(users[draw.user]);
    out.append("\", \"page_id\": \"").append(pages[draw.page]);
    out.append("\", \"ad_id\": \"").append(ads.uuids[draw.ad].first);
    out.append("\", \"ad_type\": \"").append(kAdTypes[draw.ad_type]);
    out.append("\", \"event_type\": \"").append(kEventTypes[draw.event_type]);
    out.append("\", ").append(kTimeKey).append(std::to_string(kTextEpochMs + YsbSpanMs(i)));
    out.append("\", \"ip_address\": \"1.2.3.4\"}");
    ends.push_back(out.size());
  }
  texts.bytes.append(64, '\0');
  size_t begin = 0;
  for (const size_t end : ends) {
    texts.events.emplace_back(texts.bytes.data() + begin, end - begin);
    begin = end;
  }
  return texts;
}

void AdvanceYsb(std::vector<YsbEvent>& events, int64_t ms) {
  for (YsbEvent& event : events) event.time_ms += ms;
}

void AdvanceYsb(YsbTexts& texts, int64_t ms) {
  for (const std::string_view event : texts.events) {
    const size_t digits = event.rfind(kTimeKey) + kTimeKey.size();
    char* at = texts.bytes.data() + (event.data() - texts.bytes.data()) + digits;
    int64_t time_ms = 0;
    std::from_chars(at, at + 13, time_ms);
    std::to_chars(at, at + 13, time_ms + ms);
  }
}

}  // namespace sluice::bench
