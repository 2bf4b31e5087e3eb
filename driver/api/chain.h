// Fused chains: what narrow operators compile to. A chain is pushed: it reads the records of its
// parent's dataset and hands each resulting row to a sink, in order, one call deep in inlined code.
// Rows are never buffered, so a row may view into the record, or into a temporary of the step
// before it, while the sink runs.
//
// A chain has
//   Out                                        the row type
//   Drive(context, batches, sink) const        calls sink(row) for each row
#pragma once

#include <concepts>
#include <cstring>
#include <functional>
#include <iterator>
#include <span>
#include <utility>

#include "common/codec.h"
#include "common/plan/kernel.h"

// Steps of a chain are inlined before anything else is optimised: only then does the compiler see
// the state of the chain's end as a register, and the filters before it as moves, not branches.
#define SLUICE_INLINED __attribute__((always_inline))

namespace sluice {

// A function of one row; it may ask for the view or for the owning record. The latter costs a
// copy of the row into memory that is reused.
template <class F, class R>
concept RowFunction = std::invocable<const F&, const R&> || std::invocable<const F&, const Own<R>&>;

namespace internal {

[[noreturn]] void ThrowBadRecord(std::string_view type, uint64_t index, size_t size);
[[noreturn]] void ThrowBatchFull();

// f(args...), where f may be a pointer to a member.
template <class F, class... Args>
SLUICE_INLINED inline decltype(auto) Call(const F& f, const Args&... args) {
  if constexpr (std::is_member_pointer_v<F>) return std::invoke(f, args...);
  else return f(args...);
}

// Calls F with rows of type R, owned where F asks for that.
template <class F, class R>
class RowCaller {
 public:
  explicit RowCaller(const F& f) : f_(f) {}
  SLUICE_INLINED decltype(auto) operator()(const R& row) {
    if constexpr (std::invocable<const F&, const R&>) {
      return Call(f_, row);
    } else {
      AssignOwned(scratch_, row);
      return Call(f_, scratch_);
    }
  }

 private:
  struct Nothing {};
  const F& f_;
  [[no_unique_address]] std::conditional_t<std::invocable<const F&, const R&>, Nothing, Own<R>>
      scratch_{};
};

template <class F, class R>
using RowResult = decltype(std::declval<RowCaller<F, R>&>()(std::declval<const R&>()));

inline void CloseRecord(RecordBatch& out) {
  if (out.size() > kBatchBytesMax) [[unlikely]] ThrowBatchFull();
  out.EndRecord();
}

}  // namespace internal

// The start of a chain: reads stored records back as views.
template <Record T>
struct Stored {
  using Out = View<T>;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext&, std::span<const BatchView> batches, Sink&& sink) const {
    Out row{};
    for (const BatchView& batch : batches) {
      if constexpr (kFixedSize<T> != 0) {
        if (batch.fixed_size == kFixedSize<T>) {
          DriveFixed(batch, row, sink);
          continue;
        }
      }
      uint64_t begin = 0;
      for (uint32_t i = 0; i < batch.count; ++i) {
        const uint64_t end = batch.ends != nullptr ? batch.ends[i] : begin + batch.fixed_size;
        __builtin_prefetch(batch.data + begin + kReadAhead);
        if (!DecodeRecord<T>({batch.data + begin, end - begin}, row)) [[unlikely]] {
          internal::ThrowBadRecord(RecordName<T>(), i, end - begin);
        }
        sink(std::as_const(row));
        begin = end;
      }
    }
  }

 private:
  // Blocks have left the cache when a batch takes them.
  static constexpr uint64_t kReadAhead = 1024;
  // The loop that compilers make most of: the size is known to them.
  template <class Sink>
  SLUICE_INLINED
  static void DriveFixed(const BatchView& batch, Out& row, Sink& sink) {
    constexpr uint64_t kSize = kFixedSize<T>;
    // Of a plain copy compilers keep the fields that are used, and no others.
    constexpr bool kCopied = std::same_as<Out, T> && internal::kSameBytes<T> &&
                             std::is_trivially_copyable_v<T>;
    const char* record = batch.data;
    for (uint32_t i = 0; i < batch.count; ++i, record += kSize) {
      if constexpr (kCopied) {
        std::memcpy(&row, record, kSize);
      } else if (!internal::RecordCodec<T>::Read(record, row)) [[unlikely]] {
        internal::ThrowBadRecord(RecordName<T>(), i, kSize);
      }
      sink(std::as_const(row));
    }
  }
};

namespace internal {

template <class Chain, class F>
struct MapChain {
  using Out = std::remove_cvref_t<RowResult<F, typename Chain::Out>>;
  Chain chain;
  F f;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext& context, std::span<const BatchView> batches, Sink&& sink) const {
    RowCaller<F, typename Chain::Out> call(f);
    chain.Drive(context, batches,
                [&](const auto& row) SLUICE_INLINED { sink(call(row)); });
  }
};

template <class Chain, class F>
struct FilterChain {
  using Out = typename Chain::Out;
  Chain chain;
  F f;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext& context, std::span<const BatchView> batches, Sink&& sink) const {
    RowCaller<F, Out> call(f);
    chain.Drive(context, batches, [&]<class R>(R&& row) SLUICE_INLINED {
      if (call(row)) sink(std::forward<R>(row));
    });
  }
};

// f(row) is a range.
template <class Chain, class F>
struct FlatMapChain {
  using Range = RowResult<F, typename Chain::Out>;
  using Out = std::remove_cvref_t<decltype(*std::begin(std::declval<Range&>()))>;
  Chain chain;
  F f;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext& context, std::span<const BatchView> batches, Sink&& sink) const {
    RowCaller<F, typename Chain::Out> call(f);
    chain.Drive(context, batches, [&](const auto& row) SLUICE_INLINED {
      for (auto&& element : call(row)) sink(static_cast<const Out&>(element));
    });
  }
};

// f(row, emit) calls emit(result) any number of times.
template <class Chain, class F, class Emitted>
struct EmitChain {
  using Out = Emitted;
  Chain chain;
  F f;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext& context, std::span<const BatchView> batches, Sink&& sink) const {
    using In = typename Chain::Out;
    auto emit = [&](const Out& row) SLUICE_INLINED { sink(row); };
    if constexpr (std::invocable<const F&, const In&, decltype(emit)&>) {
      chain.Drive(context, batches, [&](const auto& row) SLUICE_INLINED { f(row, emit); });
    } else {
      Own<In> scratch{};
      chain.Drive(context, batches, [&](const auto& row) {
        AssignOwned(scratch, row);
        f(std::as_const(scratch), emit);
      });
    }
  }
};

template <class Chain, class F>
struct MapValuesChain {
  using In = typename Chain::Out;
  using InValue = typename In::second_type;
  using Out = std::pair<typename In::first_type, std::remove_cvref_t<RowResult<F, InValue>>>;
  Chain chain;
  F f;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext& context, std::span<const BatchView> batches, Sink&& sink) const {
    RowCaller<F, InValue> call(f);
    chain.Drive(context, batches, [&]<class R>(R&& row) SLUICE_INLINED {
      auto&& value = call(row.second);
      sink(Out(std::forward<R>(row).first, std::forward<decltype(value)>(value)));
    });
  }
};

// f(value) is a range; each element stands under the row's key.
template <class Chain, class F>
struct FlatMapValuesChain {
  using In = typename Chain::Out;
  using InValue = typename In::second_type;
  using Range = RowResult<F, InValue>;
  using Element = std::remove_cvref_t<decltype(*std::begin(std::declval<Range&>()))>;
  using Out = std::pair<typename In::first_type, Element>;
  Chain chain;
  F f;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext& context, std::span<const BatchView> batches, Sink&& sink) const {
    RowCaller<F, InValue> call(f);
    chain.Drive(context, batches, [&](const auto& row) SLUICE_INLINED {
      for (auto&& element : call(row.second)) {
        sink(Out(row.first, static_cast<const Element&>(element)));
      }
    });
  }
};

// f sees all records of one task's share of a dataset at once, owned. A border by nature.
template <class Chain, class F>
struct MapPartitionsChain {
  using T = Own<typename Chain::Out>;
  using Range = std::invoke_result_t<const F&, std::span<const T>>;
  using Out = std::remove_cvref_t<decltype(*std::begin(std::declval<Range&>()))>;
  Chain chain;
  F f;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext& context, std::span<const BatchView> batches, Sink&& sink) const {
    std::vector<T> records;
    chain.Drive(context, batches, [&](const auto& row) { records.push_back(ToOwned(row)); });
    for (auto&& element : Call(f, std::span<const T>(records))) {
      sink(static_cast<const Out&>(element));
    }
  }
};

// ---- kernels ------------------------------------------------------------------------------

// Passes stored records on as they are.
class CopyKernel final : public NarrowKernel {
 public:
  explicit CopyKernel(uint32_t fixed_size) : fixed_size_(fixed_size) {}
  void Run(const TaskContext& context, std::span<const BatchView> input,
           RecordBatch& out) const override;
  uint32_t output_fixed_size() const override { return fixed_size_; }

 private:
  uint32_t fixed_size_;
};

std::shared_ptr<const NarrowKernel> CopyRecords(uint32_t fixed_size);

// Appends every record of the batch.
void AppendRecords(const BatchView& batch, RecordBatch& out);

}  // namespace internal
}  // namespace sluice
