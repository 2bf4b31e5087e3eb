#include "bench/nexmark_floors.h"

#include <algorithm>

namespace sluice::bench::SLUICE_FLOORS {
namespace {

using Events = std::span<const std::string_view>;

template <class F>
void ForEachBid(Events events, const F& f) {
  for (const std::string_view event : events) {
    if (KindOf(event) == NexmarkKind::kBid) f(Read<Bid>(event), event);
  }
}

uint64_t RowOfBid(const Bid& bid) {
  return RowOf(bid.auction, bid.bidder, bid.price, bid.time_ms);
}

// A ring of 1 MiB that stands for the sink.
char* NextPlace(NexmarkFloor& floor, size_t& used, size_t size) {
  if (used + size > floor.passed.size()) used = 0;
  char* place = floor.passed.data() + used;
  used += size;
  return place;
}

void Q0(Events events, NexmarkFloor& floor) {
  size_t used = 0;
  ForEachBid(events, [&](const Bid& bid, std::string_view event) {
    std::memcpy(NextPlace(floor, used, event.size()), event.data(), event.size());
    floor.rows.Add(RowOfBid(bid));
  });
}

void Q1(Events events, NexmarkFloor& floor) {
  size_t used = 0;
  ForEachBid(events, [&](Bid bid, std::string_view) {
    bid.price = CentsOfQ1(bid.price);
    std::memcpy(NextPlace(floor, used, sizeof bid), &bid, sizeof bid);
    floor.rows.Add(RowOfBid(bid));
  });
}

void Q2(Events events, NexmarkFloor& floor) {
  ForEachBid(events, [&](const Bid& bid, std::string_view) {
    if (WantedByQ2(bid.auction)) floor.rows.Add(RowOf(bid.auction, bid.price));
  });
}

void Q3(Events events, NexmarkFloor& floor) {
  const auto match = [&](const NexmarkFloor::Seller& seller, int64_t auction) {
    floor.rows.Add(RowOf(std::string_view(seller.name), std::string_view(seller.city),
                         std::string_view(seller.state), auction));
  };
  for (const std::string_view event : events) {
    const NexmarkKind kind = KindOf(event);
    if (kind == NexmarkKind::kBid) continue;
    if (kind == NexmarkKind::kAuction) {
      const auto auction = Read<Auction>(event);
      if (auction.category != kCategoryOfQ3) continue;
      NexmarkFloor::Seller& seller = floor.sellers[auction.seller];
      if (seller.known) match(seller, auction.id);
      else seller.auctions.push_back(auction.id);
      continue;
    }
    const auto person = Read<Person>(event);
    if (!WantedByQ3(Text(person.state))) continue;
    NexmarkFloor::Seller& seller = floor.sellers[person.id];
    seller.name = Text(person.name);
    seller.city = Text(person.city);
    seller.state = Text(person.state);
    seller.known = true;
    for (const int64_t auction : seller.auctions) match(seller, auction);
    seller.auctions.clear();
  }
}

void CloseSlice(NexmarkFloor& floor) {
  AuctionCounts totals;
  for (const AuctionCounts& slice : floor.slices) {
    slice.ForEach([&](int64_t auction, int64_t count) { totals.Add(auction, count); });
  }
  int64_t most = 0;
  totals.ForEach([&](int64_t, int64_t count) { most = std::max(most, count); });
  totals.ForEach([&](int64_t auction, int64_t count) {
    if (count == most) floor.rows.Add(RowOf(floor.slice, auction, count));
  });
}

void Q5(Events events, NexmarkFloor& floor) {
  ForEachBid(events, [&](const Bid& bid, std::string_view) {
    if (bid.time_ms >= (floor.slice + 1) * kSliceMs) {
      const int64_t slice = bid.time_ms / kSliceMs;
      for (; floor.slice < slice; ++floor.slice) {
        if (floor.slice >= 0) CloseSlice(floor);
        floor.slices[(floor.slice + 1) % kSlices].Clear();
      }
    }
    floor.slices[floor.slice % kSlices].Add(bid.auction, 1);
  });
}

void Q7(Events events, NexmarkFloor& floor) {
  ForEachBid(events, [&](const Bid& bid, std::string_view) {
    if (bid.time_ms >= (floor.window + 1) * kTumbleMs) {
      for (const Bid& highest : floor.highest) floor.rows.Add(RowOfBid(highest));
      floor.highest.clear();
      floor.window = bid.time_ms / kTumbleMs;
    }
    if (!floor.highest.empty() && bid.price < floor.highest[0].price) return;
    if (!floor.highest.empty() && bid.price > floor.highest[0].price) floor.highest.clear();
    floor.highest.push_back(bid);
  });
}

void Q8(Events events, NexmarkFloor& floor) {
  for (const std::string_view event : events) {
    const NexmarkKind kind = KindOf(event);
    if (kind == NexmarkKind::kBid) continue;
    const bool sells = kind == NexmarkKind::kAuction;
    const int64_t time_ms = sells ? Read<Auction>(event).time_ms : Read<Person>(event).time_ms;
    if (time_ms >= (floor.window + 1) * kTumbleMs) {
      floor.newcomers.clear();
      floor.window = time_ms / kTumbleMs;
    }
    const int64_t id = sells ? Read<Auction>(event).seller : Read<Person>(event).id;
    NexmarkFloor::Newcomer& newcomer = floor.newcomers[id];
    if (newcomer.known && newcomer.sells) continue;
    if (sells) {
      newcomer.sells = true;
    } else {
      newcomer.known = true;
      newcomer.name = Text(Read<Person>(event).name);
    }
    if (newcomer.known && newcomer.sells) {
      floor.rows.Add(RowOf(id, floor.window, std::string_view(newcomer.name)));
    }
  }
}

}  // namespace

NexmarkFloorQuery NexmarkFloorOf(int q) {
  switch (q) {
    case 0: return Q0;
    case 1: return Q1;
    case 2: return Q2;
    case 3: return Q3;
    case 5: return Q5;
    case 7: return Q7;
    case 8: return Q8;
    default: return nullptr;
  }
}

}  // namespace sluice::bench::SLUICE_FLOORS
