// How job and floor read an event of the Yahoo benchmark from its JSON: the fields' order is known,
// so it is enough to find the quotes. Only the three fields that the job needs are looked at.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <tuple>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice::bench {

// ad_id, event_type, event_time in ms. Views into the event.
using YsbFields = std::tuple<std::string_view, std::string_view, int64_t>;

// Compiled with the flags of each caller.
namespace {

// Bit i: text[i] is a quote.
[[maybe_unused]] uint64_t Quotes(const char* text) {
#if defined(__AVX2__)
  const __m256i quote = _mm256_set1_epi8('"');
  const auto half = [&](const char* at) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, quote)));
  };
  return half(text) | uint64_t{half(text + 32)} << 32;
#elif defined(__x86_64__)
  const __m128i quote = _mm_set1_epi8('"');
  uint64_t mask = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + 16 * i));
    mask |= uint64_t{static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, quote)))}
            << (16 * i);
  }
  return mask;
#else
  uint64_t mask = 0;
  for (int i = 0; i < 64; ++i) mask |= uint64_t{text[i] == '"'} << i;
  return mask;
#endif
}

// Each field has four quotes: its name's two and its value's two. 64 bytes behind the event may be
// read. An event with fewer quotes gives empty fields.
[[maybe_unused]] YsbFields ReadYsb(std::string_view event) {
  constexpr int kAd = 10, kType = 18, kTime = 22;  // the quote that opens the value
  const char* at[24];
  int found = 0;
  for (size_t begin = 0; begin < event.size() && found < 24; begin += 64) {
    uint64_t quotes = Quotes(event.data() + begin);
    if (event.size() - begin < 64) quotes &= (uint64_t{1} << (event.size() - begin)) - 1;
    for (; quotes != 0 && found < 24; quotes &= quotes - 1) {
      at[found++] = event.data() + begin + __builtin_ctzll(quotes);
    }
  }
  if (found < 24) return {};
  const auto value = [&](int quote) {
    return std::string_view(at[quote] + 1, static_cast<size_t>(at[quote + 1] - at[quote] - 1));
  };
  int64_t time_ms = 0;
  for (const char c : value(kTime)) time_ms = time_ms * 10 + (c - '0');
  return {value(kAd), value(kType), time_ms};
}

}  // namespace
}  // namespace sluice::bench
