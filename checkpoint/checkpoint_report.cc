#include "checkpoint/checkpoint_report.h"

#include <algorithm>
#include <map>
#include <set>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/errors.h"
#include "checkpoint/received_objects.h"
#include "common/status.h"

namespace sluice {
namespace {

// Of a manifest that can be read.
absl::Status Describe(const Manifest& manifest, const std::map<std::string, uint64_t>& sizes,
                      CheckpointReport& report) {
  report.batch_ms = manifest.batch_ms;
  report.decided_slot = manifest.decided.slot;
  std::set<std::string> parts;
  for (const StateChain& chain : manifest.chains) {
    parts.insert(chain.parts.begin(), chain.parts.end());
  }
  report.parts = parts.size();
  for (const std::string& part : parts) {
    const auto size = sizes.find(part);
    if (size == sizes.end()) return DamagedError(part + ": is missing");
    report.bytes += size->second;
  }
  return absl::OkStatus();
}

// A running job collects old checkpoints meanwhile: what is no checkpoint any more is none of our
// business.
absl::Status ForgetCollected(CheckpointStore& store, std::vector<CheckpointReport>& reports) {
  const bool any = std::any_of(reports.begin(), reports.end(),
                               [](const auto& report) { return !report.damage.empty(); });
  if (!any) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<CheckpointInfo> now, store.List());
  std::erase_if(reports, [&](const CheckpointReport& report) {
    return std::none_of(now.begin(), now.end(),
                        [&](const CheckpointInfo& info) { return info.name == report.name; });
  });
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<CheckpointReport>> ReportCheckpoints(ObjectStore* objects) {
  CheckpointStore store(objects, nullptr);
  ASSIGN_OR_RETURN(const std::vector<CheckpointInfo> manifests, store.List());
  ASSIGN_OR_RETURN(const std::vector<ObjectInfo> listed, objects->List("part-"));
  std::map<std::string, uint64_t> sizes;
  for (const ObjectInfo& object : listed) sizes[object.name] = object.bytes;
  std::vector<CheckpointReport> reports;
  for (const CheckpointInfo& info : manifests) {
    CheckpointReport report;
    report.name = info.name;
    report.sequence = info.sequence;
    report.bytes = info.bytes;
    const absl::StatusOr<Manifest> manifest = store.ReadManifest(info.name);
    absl::Status read = manifest.status();
    if (read.ok()) read = Describe(*manifest, sizes, report);
    if (!read.ok() && !IsDamaged(read) && !absl::IsNotFound(read)) return read;
    report.damage = std::string(Message(read));
    reports.push_back(std::move(report));
  }
  RETURN_IF_ERROR(ForgetCollected(store, reports));
  return reports;
}

absl::StatusOr<std::vector<CheckpointReport>> VerifyCheckpoints(
    ObjectStore* objects, const StatePartCodec* codec, std::vector<std::string>* damaged_blocks) {
  ASSIGN_OR_RETURN(std::vector<CheckpointReport> reports, ReportCheckpoints(objects));
  CheckpointStore store(objects, codec);
  for (CheckpointReport& report : reports) {
    if (!report.damage.empty()) continue;
    const absl::Status verified = store.Verify(report.name);
    if (!verified.ok() && !IsDamaged(verified) && !absl::IsNotFound(verified)) return verified;
    report.damage = std::string(Message(verified));
  }
  RETURN_IF_ERROR(ForgetCollected(store, reports));
  ASSIGN_OR_RETURN(const std::vector<ObjectInfo> blocks, objects->List(kReceivedFolder));
  for (const ObjectInfo& block : blocks) {
    absl::StatusOr<std::string> bytes = objects->Get(block.name);
    if (absl::IsNotFound(bytes.status())) continue;  // collected meanwhile
    if (bytes.ok()) bytes = DecodeReceived(*std::move(bytes));
    if (bytes.ok()) continue;
    if (!absl::IsDataLoss(bytes.status())) return bytes.status();
    damaged_blocks->push_back(objects->Where() + "/" + block.name + ": " +
                              std::string(Message(bytes.status())));
  }
  return reports;
}

}  // namespace sluice
