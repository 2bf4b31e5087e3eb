#include "checkpoint/checkpoint_store.h"

#include <charconv>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr char kManifestPrefix[] = "manifest-";
constexpr char kPartPrefix[] = "part-";
constexpr char kAsideFolder[] = "aside/";
constexpr size_t kSequenceDigits = 20;

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> SequenceOf(std::string_view name) {
  const std::string_view prefix = kManifestPrefix;
  if (!name.starts_with(prefix) || name.size() != prefix.size() + kSequenceDigits) return {};
  return ParseNumber<uint64_t>(name.substr(prefix.size()));
}

// The batch of a part named by StatePartName.
std::optional<int64_t> BatchOf(std::string_view part) {
  const size_t job_end = part.find('-', std::string_view(kPartPrefix).size());
  if (job_end == std::string_view::npos) return {};
  const size_t batch_end = part.find('-', job_end + 1);
  if (batch_end == std::string_view::npos) return {};
  return ParseNumber<int64_t>(part.substr(job_end + 1, batch_end - job_end - 1));
}

absl::Status Damage(const std::string& name, const std::string& what) {
  return DamagedError("checkpoint damaged: " + name + ": " + what);
}

}  // namespace

std::string ManifestName(uint64_t sequence) {
  char digits[kSequenceDigits + 1];
  std::snprintf(digits, sizeof digits, "%020llu", static_cast<unsigned long long>(sequence));
  return std::string(kManifestPrefix) + digits;
}

std::string StatePartName(uint64_t job_instance, int64_t batch_ms, const std::string& maker) {
  return absl::StrCat(kPartPrefix, absl::Hex(job_instance, absl::kZeroPad16), "-", batch_ms, "-",
                      maker);
}

std::string KeptPrefix(uint64_t job_instance, int64_t batch_ms) {
  return absl::StrCat(kKeptFolder, absl::Hex(job_instance, absl::kZeroPad16), "-", batch_ms, "/");
}

std::string LettersName(uint64_t job_instance, int64_t batch_ms) {
  return absl::StrCat(kLettersFolder, absl::Hex(job_instance, absl::kZeroPad16), "-", batch_ms);
}

std::string SetAsideName(const std::string& manifest) { return kAsideFolder + manifest; }

absl::StatusOr<std::vector<CheckpointInfo>> CheckpointStore::List() {
  ASSIGN_OR_RETURN(const std::vector<ObjectInfo> listed_aside, objects_->List(kAsideFolder));
  std::set<std::string> aside;
  for (const ObjectInfo& object : listed_aside) aside.insert(object.name);
  ASSIGN_OR_RETURN(const std::vector<ObjectInfo> objects, objects_->List(kManifestPrefix));
  std::vector<CheckpointInfo> found;
  for (const ObjectInfo& object : objects) {
    const std::optional<uint64_t> sequence = SequenceOf(object.name);
    if (!sequence) return Damage(objects_->Where() + "/" + object.name, "no name of a manifest");
    found.push_back({object.name, *sequence, object.bytes,
                     aside.contains(SetAsideName(object.name))});
  }
  return found;
}

absl::Status CheckpointStore::PutManifest(const Manifest& manifest) {
  const std::string name = ManifestName(manifest.sequence);
  const std::string bytes = EncodeManifest(manifest);
  const absl::Status status = objects_->PutIfAbsent(name, bytes);
  if (!absl::IsAlreadyExists(status)) return status;
  ASSIGN_OR_RETURN(const std::string existing, objects_->Get(name));
  return existing == bytes ? absl::OkStatus() : status;  // OK: an earlier try of our own
}

absl::StatusOr<Manifest> CheckpointStore::ReadManifest(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string bytes, objects_->Get(name));
  const std::string where = objects_->Where() + "/" + name;
  absl::StatusOr<Manifest> manifest = DecodeManifest(bytes);
  if (!manifest.ok()) return Damage(where, std::string(Message(manifest.status())));
  if (ManifestName(manifest->sequence) != name) {
    return Damage(where, absl::StrCat("holds the manifest of sequence ", manifest->sequence));
  }
  return manifest;
}

absl::StatusOr<std::string> CheckpointStore::GetNamed(const std::string& name,
                                                      const std::string& needed_by) {
  absl::StatusOr<std::string> bytes = objects_->Get(name);
  if (!absl::IsNotFound(bytes.status()) && !absl::IsInvalidArgument(bytes.status())) return bytes;
  return Damage(objects_->Where() + "/" + name, "is missing; " + needed_by + " needs it");
}

absl::Status CheckpointStore::Verify(const std::string& name) {
  ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(name));
  std::map<std::string, std::vector<const StateChain*>> parts;
  for (const StateChain& chain : manifest.chains) {
    for (const std::string& part : chain.parts) parts[part].push_back(&chain);
  }
  for (const auto& [part, chains] : parts) {
    ASSIGN_OR_RETURN(std::string bytes, GetNamed(part, name));
    const std::string where = objects_->Where() + "/" + part;
    ASSIGN_OR_RETURN(const auto reader, codec_->Open(where, std::move(bytes)));
    RETURN_IF_ERROR(reader->Verify());
    for (const StateChain* chain : chains) {
      const absl::Status status = reader->Read(chain->operator_name, chain->partition,
                                               [](StateEntry&&) { return absl::OkStatus(); });
      if (absl::IsNotFound(status)) return Damage(where, "has no piece of " + chain->operator_name);
      RETURN_IF_ERROR(status);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PartInfo>> CheckpointStore::ListParts() {
  ASSIGN_OR_RETURN(const std::vector<ObjectInfo> objects, objects_->List(kPartPrefix));
  std::vector<PartInfo> parts;
  for (const ObjectInfo& object : objects) {
    // What has another name is nothing of ours.
    if (const auto batch_ms = BatchOf(object.name)) parts.push_back({object.name, *batch_ms});
  }
  return parts;
}

}  // namespace sluice
