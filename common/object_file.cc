#include "common/object_file.h"

#include <cstring>

#include "common/crc32c.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr char kMagic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'O', '1'};
constexpr size_t kTypeMax = 64 << 10;

struct Header {
  char magic[8];
  uint32_t type_size;
  uint32_t crc32c;  // of type and batch
  uint64_t batch_size;
};
static_assert(sizeof(Header) == kObjectHeaderBytes);

// No encoded batch is larger.
constexpr uint64_t kBatchSizeMax = uint64_t{1} << 40;

absl::StatusOr<Header> HeaderOf(std::string_view section) {
  Header header;
  if (section.size() < sizeof(header)) return absl::DataLossError("it is no object file");
  std::memcpy(&header, section.data(), sizeof(header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    return absl::DataLossError("it is no object file");
  }
  if (header.type_size > kTypeMax || header.batch_size > kBatchSizeMax) {
    return absl::DataLossError("the object file says that it is longer than any is");
  }
  return header;
}

}  // namespace

std::string EncodeObjectFile(std::string_view record_type, const BatchView& records) {
  std::string file(sizeof(Header), '\0');
  file.append(record_type);
  EncodeBatch(records, file);
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.type_size = static_cast<uint32_t>(record_type.size());
  header.batch_size = file.size() - sizeof(Header) - record_type.size();
  header.crc32c = Crc32c(std::string_view(file).substr(sizeof(Header)));
  std::memcpy(file.data(), &header, sizeof(header));
  return file;
}

absl::StatusOr<BatchView> DecodeObjectFile(std::string_view file, std::string_view record_type,
                                           std::vector<uint32_t>& scratch) {
  ASSIGN_OR_RETURN(const Header header, HeaderOf(file));
  const std::string_view rest = file.substr(sizeof(header));
  if (header.type_size + header.batch_size != rest.size()) {
    return absl::DataLossError("the object file is cut off or longer than it says");
  }
  if (Crc32c(rest) != header.crc32c) {
    return absl::DataLossError("the object file does not have the checksum that it names");
  }
  const std::string_view type = rest.substr(0, header.type_size);
  if (type != record_type) {
    return absl::InvalidArgumentError("its records are " + std::string(type) + ", not " +
                                      std::string(record_type));
  }
  const auto view = DecodeBatch(rest.substr(header.type_size), scratch);
  if (!view.has_value()) return absl::DataLossError("the object file holds no record batch");
  return *view;
}

absl::StatusOr<uint64_t> ObjectSectionBytes(std::string_view begin) {
  ASSIGN_OR_RETURN(const Header header, HeaderOf(begin));
  return sizeof(header) + header.type_size + header.batch_size;
}

}  // namespace sluice
