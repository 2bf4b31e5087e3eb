#include <bit>
#include <cstring>

#include "bench/random.h"
#include "bench/ysb_floors.h"

namespace sluice::bench {

YsbFloor::YsbFloor(const YsbAds& ads, bool of_texts) {
  const size_t size = std::bit_ceil(ads.numbers.size() * 2);
  shift = 64 - std::countr_zero(size);
  if (of_texts) texts.resize(size);
  else numbers.resize(size);
  int64_t campaigns = 0;
  for (size_t i = 0; i < ads.numbers.size(); ++i) {
    const int64_t campaign = ads.numbers[i].second;
    campaigns = std::max(campaigns, campaign + 1);
    if (of_texts) {
      Slot slot{{}, campaign + 1};
      std::memcpy(slot.ad.data(), ads.uuids[i].first.data(), sizeof slot.ad);
      size_t at = Mix(slot.ad[0]) >> shift;
      while (texts[at].campaign != 0) at = (at + 1) & (size - 1);
      texts[at] = slot;
    } else {
      size_t at = Mix(static_cast<uint64_t>(ads.numbers[i].first)) >> shift;
      while (numbers[at].campaign != 0) at = (at + 1) & (size - 1);
      numbers[at] = {ads.numbers[i].first, campaign + 1};
    }
  }
  views.resize(static_cast<size_t>(campaigns));
}

void YsbFloor::CloseWindow() {
  for (size_t campaign = 0; campaign < views.size(); ++campaign) {
    if (views[campaign] == 0) continue;
    closed.push_back({static_cast<int64_t>(campaign), window, views[campaign]});
    views[campaign] = 0;
  }
}

}  // namespace sluice::bench
