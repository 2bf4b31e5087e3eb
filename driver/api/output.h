// Output operations: Print, SaveAsTextFiles, SaveAsObjectFiles, SaveAsFiles, ForeachBatch,
// ForeachPartition.
#pragma once

#include "common/codec_text.h"
#include "driver/api/dstream.h"
#include "driver/api/map.h"
#include "driver/api/rows.h"

namespace sluice {

// What ForeachBatch hands to its function. Valid during the call.
template <Record T>
class Batch {
 public:
  Batch(const BatchIdentity& identity, std::span<const BatchView> records)
      : identity_(identity), records_(records) {}

  int64_t time_ms() const { return identity_.batch_ms; }
  // (job instance, output, batch): the same at every repeat; and a fence that never goes back.
  const BatchIdentity& identity() const { return identity_; }
  uint64_t size() const {
    uint64_t n = 0;
    for (const BatchView& batch : records_) n += batch.count;
    return n;
  }
  bool empty() const { return size() == 0; }

  // f(row) for every record, partition by partition; a row may be a view, valid during the call.
  template <class F>
    requires RowFunction<F, View<T>>
  void ForEach(F f) const {
    internal::RowCaller<F, View<T>> call(f);
    Stored<T>().Drive(TaskContext(), records_, [&](const auto& row) { call(row); });
  }
  // All records, owned.
  std::vector<T> Collect() const {
    std::vector<T> all;
    ForEach([&](const View<T>& row) { all.push_back(internal::ToOwned(row)); });
    return all;
  }

 private:
  const BatchIdentity& identity_;
  std::span<const BatchView> records_;
};

// What ForeachPartition hands to its function. Valid during the call.
template <Record T>
class PartitionBatch {
 public:
  PartitionBatch(const PartitionIdentity& identity, const BatchView& records)
      : identity_(identity), records_(records) {}

  int64_t time_ms() const { return identity_.batch_ms; }
  uint32_t partition() const { return identity_.partition; }
  // (job instance, output, batch, partition): the same at every repeat. The fence never goes back:
  // a sink that keeps the highest it has seen refuses whoever comes with a lower one.
  const PartitionIdentity& identity() const { return identity_; }
  uint64_t size() const { return records_.count; }
  bool empty() const { return size() == 0; }

  // f(row) for every record in order; a row may be a view, valid during the call.
  template <class F>
    requires RowFunction<F, View<T>>
  void ForEach(F f) const {
    internal::RowCaller<F, View<T>> call(f);
    Stored<T>().Drive(TaskContext(), {&records_, 1}, [&](const auto& row) { call(row); });
  }
  // All records, owned.
  std::vector<T> Collect() const {
    std::vector<T> all;
    ForEach([&](const View<T>& row) { all.push_back(internal::ToOwned(row)); });
    return all;
  }

 private:
  const PartitionIdentity& identity_;
  const BatchView& records_;
};

namespace internal {

// Ends a chain in lines of text; `limit` of them suffice.
template <class Chain>
class TextKernel final : public NarrowKernel {
 public:
  TextKernel(Chain chain, uint64_t limit) : chain_(std::move(chain)), limit_(limit) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           RecordBatch& out) const override {
    uint64_t left = limit_;
    chain_.Drive(context, input, [&](const auto& row) {
      if (left == 0) return;
      --left;
      AppendText(row, out.bytes());
      CloseRecord(out);
    });
  }
  uint32_t output_fixed_size() const override { return 0; }

 private:
  Chain chain_;
  uint64_t limit_;
};

// Ends a chain in the bytes of a format, record by record.
template <class Chain, class Format>
class FormatKernel final : public NarrowKernel {
 public:
  FormatKernel(Chain chain, Format format)
      : chain_(std::move(chain)), format_(std::move(format)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           RecordBatch& out) const override {
    const FormatCall<Format> append{&format_, &out.bytes()};
    RowCaller<FormatCall<Format>, typename Chain::Out> call(append);
    chain_.Drive(context, input, [&](const auto& row) {
      call(row);
      CloseRecord(out);
    });
  }
  uint32_t output_fixed_size() const override { return 0; }

 private:
  Chain chain_;
  Format format_;
};

template <class Format>
std::string HeaderOf(const Format& format) {
  if constexpr (requires { std::string(format.Header()); }) return format.Header();
  return "";
}
template <class Format>
std::string FooterOf(const Format& format) {
  if constexpr (requires { std::string(format.Footer()); }) return format.Footer();
  return "";
}

template <class T, class F>
class UserForeachKernel final : public ForeachKernel {
 public:
  explicit UserForeachKernel(F f) : f_(std::move(f)) {}
  void Run(const BatchIdentity& identity, std::span<const BatchView> records) const override {
    f_(Batch<T>(identity, records));
  }

 private:
  F f_;
};

template <class T, class F>
class UserPartitionKernel final : public PartitionKernel {
 public:
  explicit UserPartitionKernel(F f) : f_(std::move(f)) {}
  void Run(const PartitionIdentity& identity, const BatchView& records) const override {
    f_(PartitionBatch<T>(identity, records));
  }

 private:
  F f_;
};

template <class T, class Chain>
struct Outputs {
  using S = DStream<T, Chain>;

  static void Print(const S& s, uint32_t n) {
    // One more than is shown tells whether there are more.
    StreamAccess::graph(s)->AddPrint(StreamAccess::place(s), Text(s, uint64_t{n} + 1), n);
  }

  static void SaveAsTextFiles(const S& s, const std::string& prefix, const std::string& suffix,
                              const SaveOptions& options) {
    StreamAccess::graph(s)->AddTextFiles(StreamAccess::place(s), Text(s, UINT64_MAX), prefix,
                                         suffix, options);
  }

  template <class Format>
  static void SaveAsFiles(const S& s, const std::string& prefix, Format format,
                          const std::string& suffix, const SaveOptions& options) {
    std::string header = HeaderOf(format), footer = FooterOf(format);
    StreamAccess::graph(s)->AddFormattedFiles(
        StreamAccess::place(s),
        Adopt(new FormatKernel<Chain, Format>(StreamAccess::chain(s), std::move(format))),
        std::move(header), std::move(footer), prefix, suffix, options);
  }

  static void SaveAsObjectFiles(const S& s, const std::string& prefix, const std::string& suffix,
                                const SaveOptions& options) {
    StreamAccess::graph(s)->AddObjectFiles(StreamAccess::place(s), RecordsOf(s), RecordName<T>(),
                                           prefix, suffix, options);
  }

  template <class F>
  static void ForeachBatch(const S& s, F f) {
    StreamAccess::graph(s)->AddForeachBatch(StreamAccess::place(s), RecordsOf(s),
                                            Adopt(new UserForeachKernel<T, F>(std::move(f))));
  }

  template <class F>
  static void ForeachPartition(const S& s, F f) {
    StreamAccess::graph(s)->AddForeachPartition(
        StreamAccess::place(s), RecordsOf(s),
        Adopt(new UserPartitionKernel<T, F>(std::move(f))));
  }

 private:
  static std::shared_ptr<const NarrowKernel> Text(const S& s, uint64_t limit) {
    return Adopt(new TextKernel<Chain>(StreamAccess::chain(s), limit));
  }
};

}  // namespace internal
}  // namespace sluice
