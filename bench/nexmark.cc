#include "bench/nexmark.h"

#include <algorithm>
#include <cmath>

#include "bench/random.h"

namespace sluice::bench {
namespace {

constexpr int64_t kPerEpoch = 50, kPersonsPerEpoch = 1, kAuctionsPerEpoch = 3;
constexpr int64_t kFirstId = 1000, kFirstCategory = kCategoryOfQ3, kCategories = 5;
constexpr int64_t kHotAuctionRatio = 2, kHotSellersRatio = 4, kHotBiddersRatio = 4;
constexpr int64_t kHotEvery = 100;
constexpr int64_t kInFlight = 100, kActivePeople = 1000, kIdLead = 10;
constexpr int64_t kEventsPerMs = 10;
constexpr const char* kStates[] = {"AZ", "CA", "ID", "OR", "WA", "WY"};
constexpr const char* kCities[] = {"Phoenix",  "Los Angeles", "San Francisco", "Boise",
                                   "Portland", "Bend",        "Redmond",       "Seattle",
                                   "Kent",     "Cheyenne"};
constexpr const char* kFirstNames[] = {"Peter", "Paul", "Luke",  "John",  "Saul", "Vicky",
                                       "Kate",  "Julie", "Sarah", "Deiter", "Walter"};
constexpr const char* kLastNames[] = {"Shultz", "Abrams", "Spencer", "White", "Bartels",
                                      "Walton", "Smith",  "Jones",   "Noris"};

// The newest ids, counted from 0, when event `n` is made.
int64_t LastPerson(int64_t n) { return n / kPerEpoch; }
int64_t LastAuction(int64_t n) {
  const int64_t epoch = n / kPerEpoch, offset = n % kPerEpoch - kPersonsPerEpoch;
  if (offset < 0) return epoch * kAuctionsPerEpoch - 1;
  return epoch * kAuctionsPerEpoch + std::min(offset, kAuctionsPerEpoch - 1);
}

int64_t Below(SplitMix64& random, int64_t n) {
  return static_cast<int64_t>(random.Below(static_cast<uint64_t>(n)));
}

int64_t SomePerson(SplitMix64& random, int64_t n) {
  const int64_t people = LastPerson(n) + 1, active = std::min(people, kActivePeople);
  return people - active + Below(random, active + kIdLead);
}
int64_t SomeAuction(SplitMix64& random, int64_t n) {
  const int64_t last = std::max<int64_t>(LastAuction(n), 0);
  const int64_t first = std::max<int64_t>(last - kInFlight, 0);
  return first + Below(random, last - first + 1 + kIdLead);
}
int64_t Price(SplitMix64& random) {
  return static_cast<int64_t>(std::llround(std::pow(10.0, random.NextUnit() * 6) * 100));
}

template <size_t n>
void SetText(std::array<char, n>& to, std::string_view text) {
  std::memcpy(to.data(), text.data(), std::min(text.size(), n));
}
template <size_t n>
const char* Pick(SplitMix64& random, const char* const (&texts)[n]) {
  return texts[random.Below(n)];
}

Person MakePerson(SplitMix64& random, int64_t n) {
  Person person;
  person.id = kFirstId + LastPerson(n);
  person.time_ms = n / kEventsPerMs;
  const std::string first = Pick(random, kFirstNames);
  SetText(person.name, first + " " + Pick(random, kLastNames));
  SetText(person.city, Pick(random, kCities));
  SetText(person.state, Pick(random, kStates));
  return person;
}

Auction MakeAuction(SplitMix64& random, int64_t n) {
  Auction auction;
  auction.id = kFirstId + LastAuction(n);
  auction.time_ms = n / kEventsPerMs;
  auction.seller = kFirstId + (Below(random, kHotSellersRatio) > 0
                                   ? LastPerson(n) / kHotEvery * kHotEvery
                                   : SomePerson(random, n));
  auction.category = kFirstCategory + Below(random, kCategories);
  auction.initial_bid = Price(random);
  auction.reserve = auction.initial_bid + Price(random);
  const int64_t horizon_ms = kInFlight * kPerEpoch / kAuctionsPerEpoch / kEventsPerMs;
  auction.expires_ms = auction.time_ms + 1 + Below(random, 2 * horizon_ms);
  return auction;
}

Bid MakeBid(SplitMix64& random, int64_t n) {
  Bid bid;
  bid.auction = kFirstId + (Below(random, kHotAuctionRatio) > 0
                                ? LastAuction(n) / kHotEvery * kHotEvery
                                : SomeAuction(random, n));
  bid.bidder = kFirstId + (Below(random, kHotBiddersRatio) > 0
                               ? LastPerson(n) / kHotEvery * kHotEvery + 1
                               : SomePerson(random, n));
  bid.price = Price(random);
  bid.time_ms = n / kEventsPerMs;
  return bid;
}

template <class T>
void Append(const T& event, size_t size, std::string& out) {
  const size_t begin = out.size();
  out.resize(begin + size, '.');
  std::memcpy(out.data() + begin, &event, sizeof event);
}

}  // namespace

NexmarkEvents MakeNexmark(uint64_t count) {
  SplitMix64 random(42);
  NexmarkEvents made;
  made.bytes.reserve(count / 50 * (kPersonSize + 3 * kAuctionSize + 46 * kBidSize) + 64);
  std::vector<size_t> ends;
  for (int64_t n = 0; n < static_cast<int64_t>(count); ++n) {
    const int64_t offset = n % kPerEpoch;
    if (offset < kPersonsPerEpoch) {
      Append(MakePerson(random, n), kPersonSize, made.bytes);
    } else if (offset < kPersonsPerEpoch + kAuctionsPerEpoch) {
      Append(MakeAuction(random, n), kAuctionSize, made.bytes);
    } else {
      Append(MakeBid(random, n), kBidSize, made.bytes);
      ++made.bids;
    }
    ends.push_back(made.bytes.size());
  }
  size_t begin = 0;
  for (const size_t end : ends) {
    made.events.emplace_back(made.bytes.data() + begin, end - begin);
    begin = end;
  }
  return made;
}

void AdvanceNexmark(NexmarkEvents& made) {
  const auto count = static_cast<int64_t>(made.events.size());
  const int64_t ms = count / kEventsPerMs;
  const int64_t people = count / kPerEpoch * kPersonsPerEpoch;
  const int64_t auctions = count / kPerEpoch * kAuctionsPerEpoch;
  for (const std::string_view event : made.events) {
    char* at = made.bytes.data() + (event.data() - made.bytes.data());
    const auto change = [&](auto moved, const auto& move) {
      std::memcpy(&moved, at, sizeof moved);
      moved.time_ms += ms;
      move(moved);
      std::memcpy(at, &moved, sizeof moved);
    };
    switch (KindOf(event)) {
      case NexmarkKind::kPerson:
        change(Person(), [&](Person& person) { person.id += people; });
        break;
      case NexmarkKind::kAuction:
        change(Auction(), [&](Auction& auction) {
          auction.id += auctions;
          auction.seller += people;
          auction.expires_ms += ms;
        });
        break;
      case NexmarkKind::kBid:
        change(Bid(), [&](Bid& bid) {
          bid.auction += auctions;
          bid.bidder += people;
        });
        break;
    }
  }
}

}  // namespace sluice::bench
