// Nexmark's events (B6): of 50, one is a person, three are auctions and 46 are bids. All of it is a
// pure function of the arguments.
//
// An event is 200, 500 or 100 bytes: one of the structs below, then padding.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

enum class NexmarkKind : int64_t { kPerson, kAuction, kBid };

struct Person {
  NexmarkKind kind = NexmarkKind::kPerson;
  int64_t id = 0;
  int64_t time_ms = 0;
  std::array<char, 8> state{};  // texts end with a zero
  std::array<char, 16> name{};
  std::array<char, 16> city{};
};
struct Auction {
  NexmarkKind kind = NexmarkKind::kAuction;
  int64_t id = 0;
  int64_t time_ms = 0;
  int64_t seller = 0;
  int64_t category = 0;
  int64_t initial_bid = 0;
  int64_t reserve = 0;
  int64_t expires_ms = 0;
};
struct Bid {
  NexmarkKind kind = NexmarkKind::kBid;
  int64_t auction = 0;
  int64_t time_ms = 0;
  int64_t bidder = 0;
  int64_t price = 0;
};
inline constexpr size_t kPersonSize = 200, kAuctionSize = 500, kBidSize = 100;
inline constexpr int64_t kCategoryOfQ3 = 10;

inline NexmarkKind KindOf(std::string_view event) {
  NexmarkKind kind;
  std::memcpy(&kind, event.data(), sizeof kind);
  return kind;
}
template <class T>
T Read(std::string_view event) {
  T value;
  std::memcpy(&value, event.data(), sizeof value);
  return value;
}
// A text of an event, as long as that is there.
template <size_t n>
std::string_view Text(const std::array<char, n>& text) {
  return {text.data(), strnlen(text.data(), n)};
}

struct NexmarkEvents {
  std::string bytes;
  std::vector<std::string_view> events;
  uint64_t bids = 0;
};
// `count` events, a multiple of 50, 100 us apart.
NexmarkEvents MakeNexmark(uint64_t count);
// Makes the events those that follow: later, of later people and auctions. In place.
void AdvanceNexmark(NexmarkEvents& events);

}  // namespace sluice::bench
