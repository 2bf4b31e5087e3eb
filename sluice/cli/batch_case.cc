#include "sluice/cli/batch_case.h"

#include <google/protobuf/text_format.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_store.h"
#include "checkpoint/errors.h"
#include "checkpoint/open_store.h"
#include "checkpoint/posix_object_store.h"
#include "checkpoint/read_job_log.h"
#include "checkpoint/received_objects.h"
#include "common/status.h"
#include "driver/job/job_state.h"
#include "sluice/replay_case.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kMaxSlots[] = "max_slots";  // the driver daemon's own

absl::Status NotRetained(const std::string& what) {
  return absl::FailedPreconditionError("the batch is not retained: " + what);
}

// The newest checkpoint of a batch before this one; nothing where there is none.
absl::StatusOr<std::optional<Manifest>> ManifestBefore(ObjectStore* objects, int64_t batch_ms) {
  CheckpointStore checkpoints(objects, nullptr);
  std::optional<Manifest> before;
  ASSIGN_OR_RETURN(const std::vector<CheckpointInfo> listed, checkpoints.List());
  for (const CheckpointInfo& info : listed) {
    if (info.set_aside) continue;
    absl::StatusOr<Manifest> manifest = checkpoints.ReadManifest(info.name);
    // Collected since it was listed; or damaged, and then the job has fallen back past it.
    if (absl::IsNotFound(manifest.status()) || IsDamaged(manifest.status())) continue;
    RETURN_IF_ERROR(manifest.status());
    if (manifest->batch_ms < batch_ms) before = *std::move(manifest);
  }
  return before;
}

class Collector {
 public:
  Collector(Client* client, const proto::JobInfo& job, int64_t batch_ms, std::string folder)
      : client_(client), job_(job), batch_ms_(batch_ms), folder_(std::move(folder)) {}

  absl::Status Run(bool copy_files) {
    ASSIGN_OR_RETURN(store_, OpenObjectStore(job_.store()));
    ASSIGN_OR_RETURN(own_, PosixObjectStore::Open(folder_ + "/" + kCaseObjects));
    ASSIGN_OR_RETURN(manifest_, ManifestBefore(store_.get(), batch_ms_));
    RETURN_IF_ERROR(ReadLog());
    RETURN_IF_ERROR(CheckRetained());
    FillHead();
    RETURN_IF_ERROR(TakeState());
    RETURN_IF_ERROR(TakeBatches());
    if (copy_files) RETURN_IF_ERROR(CopyFiles());
    return WriteCase(folder_, case_);
  }

 private:
  // Folds what the checkpoint kept and the log behind it into the job's state.
  absl::Status ReadLog() {
    uint64_t first_slot = 1, live_from = 1;
    if (manifest_.has_value()) {
      proto::DriverState kept;
      if (!kept.ParseFromString(manifest_->driver_payload)) {
        return absl::DataLossError(ManifestName(manifest_->sequence) + " cannot be read");
      }
      state_.Restore(kept);
      first_slot = manifest_->decided.slot;
      live_from = kept.first_live_slot();
    }
    const auto records = ReadJobLog(job_.store(), first_slot);
    if (!records.ok() && !manifest_.has_value()) {
      return NotRetained("no checkpoint is older, and the log cannot be read from its beginning: " +
                         std::string(Message(records.status())));
    }
    RETURN_IF_ERROR(records.status());
    for (const FollowedRecord& followed : *records) {
      if (!followed.live || followed.record.slot < live_from) continue;
      for (const std::string& bytes : followed.record.entries) {
        proto::Entry entry;
        if (!entry.ParseFromString(bytes)) {
          return absl::DataLossError("driver log: an entry is damaged");
        }
        RETURN_IF_ERROR(state_.Apply(entry));
        if (entry.has_skipped() && entry.skipped().batch_ms() == batch_ms_) {
          skipped_ = entry.skipped();
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckRetained() const {
    const auto& planned = state_.planned();
    if (!planned.contains(batch_ms_)) {
      return NotRetained(planned.empty() ? "nothing is"
                                         : absl::StrCat("there are those from ",
                                                        planned.begin()->first, " to ",
                                                        planned.rbegin()->first));
    }
    const int64_t reshaped_ms = state_.reshaped_ms();
    const bool former = manifest_.has_value() ? manifest_->batch_ms <= reshaped_ms
                                              : reshaped_ms > 0;
    if (reshaped_ms > 0 && (former || batch_ms_ <= reshaped_ms)) {
      return NotRetained(absl::StrCat("up to ", reshaped_ms,
                                      " the job had another number of partitions or another "
                                      "batch interval, and no checkpoint lies in between"));
    }
    if (skipped_.has_value() && skipped_->kept().empty()) {
      return NotRetained("it was skipped, and nothing was kept of it");
    }
    return absl::OkStatus();
  }

  void FillHead() {
    case_.set_job_name(job_.spec().name());
    case_.set_batch_ms(batch_ms_);
    *case_.mutable_job() = state_.job();
    *case_.mutable_program() = state_.program();
    *case_.mutable_conf() = job_.spec().conf();
    case_.mutable_conf()->erase(kMaxSlots);
    *case_.mutable_args() = job_.spec().args();
  }

  absl::Status Copy(const std::string& object) {
    ASSIGN_OR_RETURN(const std::string bytes, store_->Get(object));
    return own_->PutIfAbsent(object, bytes);
  }

  absl::Status TakeState() {
    if (!manifest_.has_value()) return absl::OkStatus();
    case_.set_manifest(ManifestName(manifest_->sequence));
    RETURN_IF_ERROR(Copy(case_.manifest()));
    std::set<std::string> parts;
    for (const StateChain& chain : manifest_->chains) {
      parts.insert(chain.parts.begin(), chain.parts.end());
    }
    for (const std::string& part : parts) RETURN_IF_ERROR(Copy(part));
    return absl::OkStatus();
  }

  absl::Status TakeBatches() {
    for (const auto& [time_ms, planned] : state_.planned()) {
      if (time_ms > batch_ms_) break;
      if (manifest_.has_value() && time_ms <= manifest_->batch_ms) continue;
      auto& batch = *case_.add_batches();
      *batch.mutable_composition() = planned;
      if (time_ms == batch_ms_ && skipped_.has_value()) {
        RETURN_IF_ERROR(TakeKept(&batch));
        continue;
      }
      RETURN_IF_ERROR(TakeBlocks(&batch));
      const auto decided = state_.decided().find(time_ms);
      if (decided == state_.decided().end()) continue;
      *batch.mutable_decided() = decided->second.decided;
      batch.mutable_decided()->clear_outputs();
      batch.mutable_decided()->clear_letters();
    }
    return absl::OkStatus();
  }

  // The input of the batch as it was kept aside when it was skipped.
  absl::Status TakeKept(proto::ReplayCase::Batch* batch) {
    ASSIGN_OR_RETURN(const std::string text, store_->Get(skipped_->kept()));
    proto::KeptInput kept;
    if (!google::protobuf::TextFormat::ParseFromString(text, &kept)) {
      return absl::DataLossError(skipped_->kept() + " is no list of what was kept");
    }
    for (const auto& block : kept.blocks()) {
      if (block.lost()) {
        *batch->add_lost() = block.block();
        continue;
      }
      ASSIGN_OR_RETURN(const std::string bytes, store_->Get(block.object()));
      RETURN_IF_ERROR(Put(block.block(), bytes));
    }
    *batch->mutable_composition() = std::move(*kept.mutable_composition());
    return absl::OkStatus();
  }

  absl::Status TakeBlocks(proto::ReplayCase::Batch* batch) {
    for (const auto& source : batch->composition().sources()) {
      for (const auto& task : source.tasks()) {
        for (const auto& piece : task.pieces()) {
          if (!piece.has_block()) continue;
          if (IsLost(piece.block().name())) {
            *batch->add_lost() = piece.block().name();
            continue;
          }
          const absl::Status taken = TakeBlock(piece.block());
          if (taken.ok()) continue;
          return NotRetained(absl::StrCat("batch ", batch->composition().batch_ms(), ", block ",
                                          piece.block().name().number(), " of stream ",
                                          piece.block().name().stream(), ": ",
                                          std::string(Message(taken))));
        }
      }
    }
    return absl::OkStatus();
  }

  // An operator has accepted that it is gone: its batch runs without it.
  bool IsLost(const proto::BlockName& name) const {
    const auto known = state_.blocks().find(BlockIdOf(name));
    return known != state_.blocks().end() && known->second.lost;
  }

  // From the received-data log or from a worker that holds it.
  absl::Status TakeBlock(const proto::BlockInfo& block) {
    const std::string object = ObjectOfBlock(block.name());
    if (Copy(object).ok()) return absl::OkStatus();
    const auto known = state_.blocks().find(BlockIdOf(block.name()));
    if (known == state_.blocks().end()) {
      return absl::NotFoundError("its workers have been told to drop it");
    }
    ASSIGN_OR_RETURN(const std::string bytes,
                     client_->ReadBlock(job_.spec().name(), block, known->second.holders));
    return Put(block.name(), bytes);
  }

  absl::Status Put(const proto::BlockName& name, const std::string& batch) {
    return own_->PutIfAbsent(ObjectOfBlock(name), EncodeReceived(batch));
  }

  static std::string ObjectOfBlock(const proto::BlockName& name) {
    return ObjectOf({name.job_instance(), name.stream(), name.incarnation(), name.number()});
  }

  // The copy counts as unchanged wherever it goes, so what is copied must be the batch's.
  absl::Status CopyFile(const proto::FileRange& file, const std::string& copy) {
    std::error_code error;
    if (!fs::copy_file(file.path(), copy, error)) {
      return NotRetained("cannot copy " + file.path() + ": " + error.message());
    }
    struct stat seen;
    const bool there = stat(file.path().c_str(), &seen) == 0;
    const int64_t modified_ns =
        there ? int64_t{seen.st_mtim.tv_sec} * 1'000'000'000 + seen.st_mtim.tv_nsec : 0;
    if (there && modified_ns == file.modified_ns() &&
        static_cast<uint64_t>(seen.st_size) == file.file_size()) {
      return absl::OkStatus();
    }
    return NotRetained(file.path() + " has changed since");
  }

  absl::Status CopyFiles() {
    std::map<std::string, std::string> copies;  // by where they are
    std::error_code error;
    fs::create_directories(folder_ + "/" + kCaseFiles, error);
    for (auto& batch : *case_.mutable_batches()) {
      for (auto& source : *batch.mutable_composition()->mutable_sources()) {
        for (auto& task : *source.mutable_tasks()) {
          for (auto& piece : *task.mutable_pieces()) {
            if (!piece.has_file()) continue;
            auto [it, added] = copies.try_emplace(piece.file().path());
            if (added) it->second = absl::StrCat(kCaseFiles, "/", copies.size());
            if (added) RETURN_IF_ERROR(CopyFile(piece.file(), folder_ + "/" + it->second));
            piece.mutable_file()->set_path(it->second);
          }
        }
      }
    }
    return absl::OkStatus();
  }

  Client* const client_;
  const proto::JobInfo& job_;
  const int64_t batch_ms_;
  const std::string folder_;
  std::unique_ptr<ObjectStore> store_;
  std::unique_ptr<PosixObjectStore> own_;
  std::optional<Manifest> manifest_;
  JobState state_;
  std::optional<proto::Skipped> skipped_;
  proto::ReplayCase case_;
};

}  // namespace

absl::Status CollectCase(Client* client, const proto::JobInfo& job, int64_t batch_ms,
                         const std::string& folder, bool copy_files) {
  return Collector(client, job, batch_ms, folder).Run(copy_files);
}

}  // namespace sluice::cli
