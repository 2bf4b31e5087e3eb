#include "bench/nexmark_jobs.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace sluice::bench {
namespace {

using Events = DStream<std::string>;

// (auction, bidder, price, time in ms)
using BidRow = std::tuple<int64_t, int64_t, int64_t, int64_t>;
BidRow ToBid(std::string_view event) {
  const auto bid = Read<Bid>(event);
  return {bid.auction, bid.bidder, bid.price, bid.time_ms};
}
bool IsBid(std::string_view event) { return KindOf(event) == NexmarkKind::kBid; }
uint64_t RowOfBid(const BidRow& bid) {
  return std::apply([](const auto&... fields) { return RowOf(fields...); }, bid);
}

// Ends a stream in the tasks that have its rows.
template <class Stream, class F>
void Sink(const Stream& stream, SharedRows& out, F row_of) {
  stream.ForeachPartition([&out, row_of](const auto& partition) {
    Rows rows;
    partition.ForEach([&](const auto& row) { rows.Add(row_of(row)); });
    out.Add(rows);
  });
}

void Q0(const Events& events, SharedRows& out) {
  Sink(events.Filter(IsBid), out, [](std::string_view bid) { return RowOfBid(ToBid(bid)); });
}

void Q1(const Events& events, SharedRows& out) {
  Sink(events.Filter(IsBid).Map([](std::string_view event) {
    BidRow bid = ToBid(event);
    std::get<2>(bid) = CentsOfQ1(std::get<2>(bid));
    return bid;
  }), out, RowOfBid);
}

void Q2(const Events& events, SharedRows& out) {
  Sink(events.Filter(IsBid)
           .Map([](std::string_view event) {
             const auto bid = Read<Bid>(event);
             return std::pair{bid.auction, bid.price};
           })
           .Filter([](const std::pair<int64_t, int64_t>& bid) { return WantedByQ2(bid.first); }),
       out, [](const std::pair<int64_t, int64_t>& bid) { return RowOf(bid.first, bid.second); });
}

// ---- q3: auctions of category 10 and their sellers in three states, whenever they come ------

struct SellerData {
  std::string name, city, state;
};
struct SellerState {
  std::optional<SellerData> seller;
  std::vector<int64_t> auctions;  // that wait for the person
};
// A person, or an auction's id.
using SellerEvent = std::pair<std::optional<SellerData>, int64_t>;
using SellerMatches = std::pair<SellerData, std::vector<int64_t>>;

struct BySeller {
  using Emits = std::pair<int64_t, SellerEvent>;
  template <class Emit>
  void operator()(std::string_view event, Emit& emit) const {
    if (KindOf(event) == NexmarkKind::kAuction) {
      const auto auction = Read<Auction>(event);
      if (auction.category != kCategoryOfQ3) return;
      emit(Emits{auction.seller, {std::nullopt, auction.id}});
    } else if (KindOf(event) == NexmarkKind::kPerson) {
      const auto person = Read<Person>(event);
      if (!WantedByQ3(Text(person.state))) return;
      emit(Emits{person.id, {SellerData{std::string(Text(person.name)),
                                        std::string(Text(person.city)),
                                        std::string(Text(person.state))}, 0}});
    }
  }
};

std::optional<SellerMatches> MatchSeller(int64_t, const std::optional<SellerEvent>& event,
                                         State<SellerState>& state) {
  SellerState now = state.GetOption().value_or(SellerState{});
  std::optional<SellerMatches> matches;
  if (event->first.has_value()) {
    now.seller = event->first;
    if (!now.auctions.empty()) matches = {*now.seller, std::exchange(now.auctions, {})};
  } else if (now.seller.has_value()) {
    return SellerMatches{*now.seller, {event->second}};
  } else {
    now.auctions.push_back(event->second);
  }
  state.Update(std::move(now));
  return matches;
}

void Q3(const Events& events, SharedRows& out) {
  Sink(events.FlatMap(BySeller())
           .MapWithState("sellers", MatchSeller)
           .FlatMap([](const SellerMatches& matches) {
             std::vector<std::pair<SellerData, int64_t>> rows;
             for (const int64_t auction : matches.second) rows.emplace_back(matches.first, auction);
             return rows;
           }),
       out, [](const std::pair<SellerData, int64_t>& row) {
         return RowOf(std::string_view(row.first.name), std::string_view(row.first.city),
                      std::string_view(row.first.state), row.second);
       });
}

// ---- q5: the auctions with most bids of the last 10 s, every 2 s ----------------------------

using SliceCount = std::tuple<int64_t, int64_t, int64_t>;  // slice, auction, bids
struct HotItems {
  int64_t newest = -1;              // slice, not closed yet
  std::vector<SliceCount> counts;   // of slices that a window to come looks at
  std::vector<SliceCount> closed;   // by the batch at hand: last slice of the window, winner, bids
};

// Event time once more: slices of 2 s are closed in the batch that has a later one.
std::optional<HotItems> CountHot(std::span<const SliceCount> counted,
                                 std::optional<HotItems> before) {
  HotItems now = std::move(before).value_or(HotItems{});
  now.closed.clear();
  now.counts.insert(now.counts.end(), counted.begin(), counted.end());
  std::sort(now.counts.begin(), now.counts.end());
  const int64_t newest = std::get<0>(now.counts.back());
  std::unordered_map<int64_t, int64_t> window;
  auto enters = now.counts.begin(), leaves = enters;
  for (int64_t slice = std::get<0>(*enters); slice < newest; ++slice) {
    for (; std::get<0>(*enters) == slice; ++enters) {
      window[std::get<1>(*enters)] += std::get<2>(*enters);
    }
    for (; std::get<0>(*leaves) <= slice - kSlices; ++leaves) {
      const auto found = window.find(std::get<1>(*leaves));
      if ((found->second -= std::get<2>(*leaves)) == 0) window.erase(found);
    }
    if (slice < now.newest) continue;  // a former batch has closed it
    int64_t most = 0;
    for (const auto& [auction, bids] : window) most = std::max(most, bids);
    for (const auto& [auction, bids] : window) {
      if (bids == most) now.closed.emplace_back(slice, auction, bids);
    }
  }
  while (std::get<0>(*leaves) <= newest - kSlices) ++leaves;
  now.counts.erase(now.counts.begin(), leaves);
  now.newest = newest;
  return now;
}

void Q5(const Events& events, SharedRows& out) {
  Sink(events.Filter(IsBid)
           .Map([](std::string_view event) {
             const auto bid = Read<Bid>(event);
             return std::pair{std::pair{bid.time_ms / kSliceMs, bid.auction}, int64_t{1}};
           })
           .ReduceByKey(std::plus<>())
           .Map([](const std::pair<std::pair<int64_t, int64_t>, int64_t>& row) {
             return std::pair{int64_t{0},
                              SliceCount{row.first.first, row.first.second, row.second}};
           })
           .UpdateStateByKey("hot", CountHot,
                             {.idle_keys = IdleKeys::kSkip, .partitions = 1})
           .FlatMap([](const std::pair<int64_t, HotItems>& row) { return row.second.closed; }),
       out, [](const SliceCount& row) {
         return std::apply([](const auto&... fields) { return RowOf(fields...); }, row);
       });
}

// ---- q7: the highest bids of each 10 s ------------------------------------------------------

struct Highest {
  int64_t newest = -1;
  std::vector<BidRow> bids;    // the highest of the newest window
  std::vector<BidRow> closed;  // of the windows that the batch at hand has closed
};

int64_t WindowOf(const BidRow& bid) { return std::get<3>(bid) / kTumbleMs; }

// Those of each window with its highest price, in the order of windows.
std::vector<BidRow> KeepHighest(std::span<const BidRow> bids) {
  std::map<int64_t, std::vector<BidRow>> highest;
  int64_t window = -1;
  std::vector<BidRow>* of_window = nullptr;
  for (const BidRow& bid : bids) {
    if (WindowOf(bid) != window) of_window = &highest[window = WindowOf(bid)];
    if (!of_window->empty() && std::get<2>(bid) < std::get<2>(of_window->front())) continue;
    if (!of_window->empty() && std::get<2>(bid) > std::get<2>(of_window->front())) {
      of_window->clear();
    }
    of_window->push_back(bid);
  }
  std::vector<BidRow> all;
  for (const auto& [at, kept] : highest) all.insert(all.end(), kept.begin(), kept.end());
  return all;
}

std::optional<Highest> CloseHighest(std::span<const BidRow> bids, std::optional<Highest> before) {
  std::vector<BidRow> all(bids.begin(), bids.end());
  if (before.has_value()) all.insert(all.end(), before->bids.begin(), before->bids.end());
  Highest now;
  for (const BidRow& bid : all) now.newest = std::max(now.newest, WindowOf(bid));
  for (const BidRow& bid : KeepHighest(all)) {
    (WindowOf(bid) == now.newest ? now.bids : now.closed).push_back(bid);
  }
  return now;
}

void Q7(const Events& events, SharedRows& out) {
  Sink(events.Filter(IsBid)
           .Map(ToBid)
           .MapPartitions(KeepHighest)
           .Map([](const BidRow& bid) { return std::pair{int64_t{0}, bid}; })
           .UpdateStateByKey("highest", CloseHighest,
                             {.idle_keys = IdleKeys::kSkip, .partitions = 1})
           .FlatMap([](const std::pair<int64_t, Highest>& row) { return row.second.closed; }),
       out, RowOfBid);
}

// ---- q8: people who sell within the 10 s in which they came ---------------------------------

struct Newcomer {
  std::optional<std::string> name;
  bool sells = false;
};
using NewcomerKey = std::pair<int64_t, int64_t>;  // person, window

struct ByNewcomer {
  using Emits = std::pair<NewcomerKey, std::optional<std::string_view>>;
  template <class Emit>
  void operator()(std::string_view event, Emit& emit) const {
    if (KindOf(event) == NexmarkKind::kAuction) {
      const auto auction = Read<Auction>(event);
      emit(Emits{{auction.seller, auction.time_ms / kTumbleMs}, std::nullopt});
    } else if (KindOf(event) == NexmarkKind::kPerson) {
      const auto person = Read<Person>(event);
      emit(Emits{{person.id, person.time_ms / kTumbleMs}, Text(person.name)});
    }
  }
};

using NewSeller = std::pair<NewcomerKey, std::string>;
std::optional<NewSeller> MatchNewcomer(const NewcomerKey& key,
                                       const std::optional<std::optional<std::string>>& name,
                                       State<Newcomer>& state) {
  if (!name.has_value()) return std::nullopt;  // its window is long over
  Newcomer now = state.GetOption().value_or(Newcomer{});
  if (now.name.has_value() && now.sells) return std::nullopt;
  if (name->has_value()) now.name = *name;
  else now.sells = true;
  state.Update(now);
  if (!now.name.has_value() || !now.sells) return std::nullopt;
  return NewSeller{key, *now.name};
}

void Q8(const Events& events, SharedRows& out) {
  Sink(events.FlatMap(ByNewcomer())
           .MapWithState("newcomers", MatchNewcomer,
                         {.idle_timeout = std::chrono::seconds(10)}),
       out, [](const auto& row) {
         return RowOf(row.first.first, row.first.second, std::string_view(row.second));
       });
}

}  // namespace

void DeclareNexmark(int q, const Events& events, SharedRows& out) {
  switch (q) {
    case 0: return Q0(events, out);
    case 1: return Q1(events, out);
    case 2: return Q2(events, out);
    case 3: return Q3(events, out);
    case 5: return Q5(events, out);
    case 7: return Q7(events, out);
    case 8: return Q8(events, out);
  }
}

}  // namespace sluice::bench
