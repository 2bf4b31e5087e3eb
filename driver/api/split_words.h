// SplitWords: the words of a line, split at blanks (space and tab). Runs of blanks give no empty
// words.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/key_hash.h"

namespace sluice {
namespace internal {

// Marks the blanks among the 64 bytes at `text`: bit i for byte i. May read all 64 bytes; chosen
// once for the machine at hand.
using BlankScanner = uint64_t (*)(const char* text);
extern const BlankScanner kScanBlanks;
// The same for the first `size` < 64 bytes only; bits beyond are set.
uint64_t ScanBlanksCarefully(const char* text, size_t size);

inline uint64_t BlanksAt(const char* text, size_t size) {
#ifdef SLUICE_CAREFUL_LOADS
  if (size < 64) return ScanBlanksCarefully(text, size);
#else
  if (size < 64) {
    // Bytes beyond the text are read, not used, and only where their page is the text's.
    if ((reinterpret_cast<uintptr_t>(text) & 4095) > 4096 - 64) [[unlikely]] {
      return ScanBlanksCarefully(text, size);
    }
    return kScanBlanks(text) | ~uint64_t{0} << size;
  }
#endif
  return kScanBlanks(text);
}

struct WordSplitter {
  using Emits = std::string_view;

  // emit(word) for each word, in order. The words view into `line`.
  template <class Emit>
    requires std::invocable<Emit&, std::string_view>
  void operator()(std::string_view line, Emit&& emit) const {
    const char* word = nullptr;  // start of a word that is still open
    // Behind the line all are blanks: they end its last word, so that there is one call of emit
    // for a compiler to unfold.
    for (size_t at = 0; at <= line.size(); at += 64) {
      const char* text = line.data() + at;
      const size_t size = line.size() - at;
      const uint64_t blanks = size == 0 ? ~uint64_t{0} : BlanksAt(text, size);
      // Words begin and end where the mask changes.
      uint64_t edges = blanks ^ (blanks << 1 | (word == nullptr ? 1 : 0));
      while (edges != 0) {
        const char* edge = text + __builtin_ctzll(edges);
        edges &= edges - 1;
        if (word == nullptr) {
          word = edge;
        } else {
          emit(std::string_view(word, static_cast<size_t>(edge - word)));
          word = nullptr;
        }
      }
    }
  }

  std::vector<std::string_view> operator()(std::string_view line) const;
};

}  // namespace internal

inline constexpr internal::WordSplitter SplitWords{};

}  // namespace sluice
