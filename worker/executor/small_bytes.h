// A byte string of 16 bytes that keeps up to 12 of them inline. State tables hold millions.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "common/key_hash.h"

namespace sluice::internal {

class SmallBytes {
  static constexpr uint32_t kInline = 12;

 public:
  SmallBytes() = default;
  ~SmallBytes() { Free(); }
  SmallBytes(const SmallBytes&) = delete;
  SmallBytes& operator=(const SmallBytes&) = delete;
  SmallBytes(SmallBytes&& other) noexcept { Take(other); }
  SmallBytes& operator=(SmallBytes&& other) noexcept {
    if (this != &other) {
      Free();
      Take(other);
    }
    return *this;
  }

  // A short string in the form in which it would be kept, to be compared with many.
  class Image {
   public:
    // IsInline(bytes).
    explicit Image(std::string_view bytes) {
      const ShortKey key = LoadShortKey(bytes.data(), bytes.size());
      low_ = bytes.size() | key.low << 32;
      high_ = key.low >> 32 | key.high << 32;
    }

   private:
    friend class SmallBytes;
    uint64_t low_, high_;
  };

  // `bytes` may be a part of this string. Keeps memory that is large enough and not wasteful.
  void Assign(std::string_view bytes) {
    const uint32_t size = static_cast<uint32_t>(bytes.size());
    if (size <= kInline) {
      return AssignImage(Image(bytes));
    } else if (on_heap() && size <= capacity() && size >= capacity() / 4) {
      std::memmove(heap(), bytes.data(), size);
    } else {
      AssignHeap(bytes);
    }
    size_ = size;
  }
  void Clear() {
    Free();
    size_ = 0;
    std::memset(rest_, 0, kInline);
  }
  // `other` is not on the heap.
  void AssignInline(const SmallBytes& other) {
    Free();
    std::memcpy(static_cast<void*>(this), static_cast<const void*>(&other), sizeof(*this));
  }

  static bool IsInline(std::string_view bytes) { return bytes.size() <= kInline; }
  bool Equals(const Image& image) const {
    uint64_t low, high;
    std::memcpy(&low, static_cast<const void*>(this), 8);
    std::memcpy(&high, rest_ + 4, 8);
    return ((low ^ image.low_) | (high ^ image.high_)) == 0;
  }
  bool Equals(std::string_view bytes) const {
    return IsInline(bytes) ? Equals(Image(bytes)) : view() == bytes;
  }

  std::string_view view() const { return {on_heap() ? heap() : rest_, size_}; }
  char* data() { return on_heap() ? heap() : rest_; }  // to be written over, size() bytes
  uint32_t size() const { return size_; }
  bool on_heap() const { return size_ > kInline; }

 private:
  void AssignImage(const Image& image) {
    Free();
    std::memcpy(static_cast<void*>(this), &image.low_, 8);
    std::memcpy(rest_ + 4, &image.high_, 8);
  }

  char* heap() const {
    char* pointer;
    std::memcpy(&pointer, rest_ + 4, sizeof(pointer));
    return pointer;
  }
  uint32_t capacity() const {
    uint32_t capacity;
    std::memcpy(&capacity, rest_, sizeof(capacity));
    return capacity;
  }
  void AssignHeap(std::string_view bytes) {
    const uint32_t capacity = static_cast<uint32_t>((bytes.size() + 15) & ~size_t{15});
    char* fresh = new char[capacity];
    std::memcpy(fresh, bytes.data(), bytes.size());
    Free();
    std::memcpy(rest_, &capacity, sizeof(capacity));
    std::memcpy(rest_ + 4, &fresh, sizeof(fresh));
  }
  void Free() {
    if (on_heap()) delete[] heap();
  }
  void Take(SmallBytes& other) {
    std::memcpy(static_cast<void*>(this), static_cast<const void*>(&other), sizeof(*this));
    other.size_ = 0;
  }

  uint32_t size_ = 0;
  char rest_[12];  // the bytes, or capacity and address
};
static_assert(sizeof(SmallBytes) == 16);

}  // namespace sluice::internal
