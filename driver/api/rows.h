// Rows of one size, which need neither a call nor an offset each: how they are written to a batch,
// and how pairs are read from one.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "common/key_hash.h"
#include "driver/api/chain.h"

namespace sluice::internal {

// Appends records of kSize bytes to a batch of that fixed size. Between Open and Close nobody else
// may use the batch; one that is not closed holds rubbish.
template <uint32_t kSize>
class RowAppender {
 public:
  void Open(RecordBatch& out) {
    out_ = &out;
    used_before_ = out.bytes().size();
    at_ = end_ = nullptr;
  }
  // Where the bytes of the next record go. Throws as CloseRecord does.
  char* Next() {
    if (at_ == end_) [[unlikely]] MakeRoom(kRoom);
    return std::exchange(at_, at_ + kSize);
  }
  // Where those of the next `count` records go, or of fewer: Used says where they end.
  char* Room(size_t count) {
    if (static_cast<size_t>(end_ - at_) < count * kSize) [[unlikely]] MakeRoom(count + kRoom);
    return at_;
  }
  void Used(char* end) { at_ = end; }
  void Close() {
    if (at_ == nullptr) return;
    std::string& bytes = out_->bytes();
    const auto used = static_cast<size_t>(at_ - bytes.data());
    bytes.resize(used);
    out_->EndRecords(static_cast<uint32_t>((used - used_before_) / kSize));
  }

 private:
  static constexpr size_t kRoom = kSize <= 128 ? 64 : 8;  // records

  void MakeRoom(size_t count) {
    std::string& bytes = out_->bytes();
    const size_t used = at_ == nullptr ? bytes.size() : static_cast<size_t>(at_ - bytes.data());
    if (used + count * kSize > kBatchBytesMax) ThrowBatchFull();
    bytes.resize(used + count * kSize);
    at_ = bytes.data() + used;
    end_ = bytes.data() + bytes.size();
  }

  RecordBatch* out_ = nullptr;
  size_t used_before_ = 0;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

// T is written in one piece, at a known place.
template <class T>
inline constexpr bool kFixedRow = kInOnePiece<RecordCodec<T>>;

// Appends the rows of a chain.
template <class T, class Chain>
void AppendRows(const Chain& chain, const TaskContext& context, std::span<const BatchView> input,
                RecordBatch& out) {
  if constexpr (kFixedRow<T>) {
    RowAppender<kFixedSize<T>> appender;
    appender.Open(out);
    chain.Drive(context, input, [&](const auto& row) SLUICE_INLINED {
      RecordCodec<T>::template Write<false>(row, appender.Next());
    });
    appender.Close();
  } else {
    chain.Drive(context, input, [&](const auto& row) {
      EncodeRecord<T>(row, out.bytes());
      CloseRecord(out);
    });
  }
}

// Ends a chain in encoded records.
template <class Chain>
class RecordKernel final : public NarrowKernel {
 public:
  using T = Own<typename Chain::Out>;
  explicit RecordKernel(Chain chain) : chain_(std::move(chain)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           RecordBatch& out) const override {
    AppendRows<T>(chain_, context, input, out);
  }
  uint32_t output_fixed_size() const override { return kFixedSize<T>; }

 private:
  Chain chain_;
};

// KeyHash of the canonical bytes of a key of type K.
template <class K>
uint64_t HashOfKey(const char* bytes, size_t size) {
  constexpr uint32_t kSize = kFixedSize<K>;
  if constexpr (kSize != 0 && kSize <= 16) {
    return HashKeyOfSize<kSize>(LoadKeyOfSize<kSize>(bytes));
  } else {
    return KeyHash({bytes, size});
  }
}

// Reads a pair whose key is wanted as canonical bytes.
template <class K, class V>
SLUICE_INLINED inline void TakePair(std::string_view record, std::string_view& key,
                                    View<V>& value) {
  if constexpr (kFixedSize<std::pair<K, V>> != 0) {
    if (record.size() == kFixedSize<std::pair<K, V>>) [[likely]] {
      key = record.substr(0, kFixedSize<K>);
      if (RecordCodec<V>::Read(record.data() + kFixedSize<K>, value)) [[likely]] return;
    }
  }
  ByteReader in{record.data(), record.data() + record.size()};
  if (!TakeKeyField<K>(in, key) || !RecordCodec<V>::Take(in, value) || in.at != in.end) {
    ThrowBadRecord(RecordName<std::pair<K, V>>(), 0, record.size());
  }
}

// The canonical key of an encoded pair.
template <class K, class V>
std::string_view KeyOfPair(std::string_view record) {
  ByteReader in{record.data(), record.data() + record.size()};
  std::string_view key;
  if (!TakeKeyField<K>(in, key)) ThrowBadRecord(RecordName<std::pair<K, V>>(), 0, record.size());
  return key;
}

// f(record) for records [begin, end), with a size that the compiler knows where all have that.
template <uint32_t kSize, class F>
SLUICE_INLINED inline void ForEachRecord(const BatchView& records, uint32_t begin, uint32_t end,
                                         const F& f) {
  if constexpr (kSize != 0) {
    if (records.fixed_size == kSize) {
      const char* at = records.data + uint64_t{begin} * kSize;
      for (uint32_t i = begin; i < end; ++i, at += kSize) f(std::string_view(at, kSize));
      return;
    }
  }
  for (uint32_t i = begin; i < end; ++i) f(records.record(i));
}

// f(canonical key, value) for each pair.
template <class K, class V, class F>
void ForEachPair(const BatchView& pairs, const F& f) {
  std::string_view key;
  View<V> value{};
  ForEachRecord<kFixedSize<std::pair<K, V>>>(
      pairs, 0, pairs.count, [&](std::string_view record) SLUICE_INLINED {
        TakePair<K, V>(record, key, value);
        f(key, std::as_const(value));
      });
}

}  // namespace sluice::internal
