#include "driver/api/framing.h"

#include <vector>

namespace sluice::internal {
namespace {

class LineFramer final : public Framer {
 public:
  bool Feed(std::string_view bytes, ReceiverSink& sink, std::string& error) override {
    while (true) {
      const size_t end = bytes.find('\n');
      if (end == std::string_view::npos) break;
      std::string_view line = bytes.substr(0, end);
      if (!pending_.empty()) line = pending_.append(line);
      if (line.size() > kFrameBytesMax) return TooLong(error);
      if (!Store(line, sink)) return false;
      pending_.clear();
      bytes.remove_prefix(end + 1);
    }
    pending_.append(bytes);
    return pending_.size() <= kFrameBytesMax || TooLong(error);
  }
  // A last line without its end is stored too, but not a piece of a line.
  void End(bool orderly, ReceiverSink& sink, std::string& error) override {
    if (pending_.empty()) return;
    if (orderly) {
      Store(pending_, sink);
    } else {
      error += EndedWithin(pending_.size());
    }
  }

 private:
  static bool TooLong(std::string& error) {
    error = "a line is longer than 64 MiB";
    return false;
  }
  static bool Store(std::string_view line, ReceiverSink& sink) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return sink.Store(line);
  }
  std::string pending_;
};

// The batch is checked as a whole, sizes and offsets, and stored as the block that it is.
class RawFramer final : public Framer {
 public:
  explicit RawFramer(uint32_t fixed_size) : fixed_size_(fixed_size) {}

  bool Feed(std::string_view bytes, ReceiverSink& sink, std::string& error) override {
    std::string_view left = pending_.With(bytes);
    while (left.size() >= kLengthBytes) {
      const size_t length = Length(left);
      if (length > kFrameBytesMax) {
        error = FrameTooLong();
        return false;
      }
      if (left.size() - kLengthBytes < length) break;
      if (!Store(left.substr(kLengthBytes, length), sink, error)) return false;
      left.remove_prefix(kLengthBytes + length);
    }
    if (pending_.Keep(left)) return true;
    error = FrameTooLong();
    return false;
  }
  void End(bool, ReceiverSink&, std::string& error) override {
    if (pending_.size() > 0) error += EndedWithin(pending_.size());
  }

 private:
  static constexpr size_t kLengthBytes = 4;

  static size_t Length(std::string_view bytes) {
    size_t length = 0;
    for (size_t i = 0; i < kLengthBytes; ++i) {
      length = length << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return length;
  }
  bool Store(std::string_view frame, ReceiverSink& sink, std::string& error) {
    const std::optional<BatchView> records = DecodeBatch(frame, scratch_);
    if (!records.has_value()) {
      error = "a frame of " + std::to_string(frame.size()) + " bytes is no record batch";
      return false;
    }
    if (records->fixed_size != fixed_size_) {
      error = "a frame has records of another type: their size is " +
              std::to_string(records->fixed_size) + ", not " + std::to_string(fixed_size_);
      return false;
    }
    return records->count == 0 || sink.StoreBlock(*records);
  }

  const uint32_t fixed_size_;
  PendingBytes pending_;
  std::vector<uint32_t> scratch_;
};

}  // namespace

bool PendingBytes::Keep(std::string_view rest) {
  if (kept_.empty()) {
    kept_.assign(rest);
  } else {
    kept_.erase(0, kept_.size() - rest.size());
  }
  return kept_.size() <= kFrameBytesMax + 4;
}

std::string EndedWithin(size_t bytes) {
  return " in the middle of a record, of which " + std::to_string(bytes) + " bytes had come";
}

std::string FrameTooLong() { return "a record is longer than 64 MiB"; }

FramerFactory LineFramers() {
  return [] { return std::make_unique<LineFramer>(); };
}

FramerFactory RawFramers(uint32_t fixed_size) {
  return [fixed_size] { return std::make_unique<RawFramer>(fixed_size); };
}

}  // namespace sluice::internal
