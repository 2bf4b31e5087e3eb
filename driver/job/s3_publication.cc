#include "driver/job/s3_publication.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "driver/job/rolled_files.h"

namespace sluice {
namespace {

constexpr char kSuccess[] = "_SUCCESS";

// Deletes what another job left in the folder of a batch, but for objects of the keys in `parts`:
// `_SUCCESS` first, so that nobody takes a mixture for a whole batch.
absl::Status ClearOthers(S3Bucket* bucket, const std::string& folder,
                         const std::set<std::string>& parts) {
  RETURN_IF_ERROR(bucket->Delete({folder + kSuccess}));
  ASSIGN_OR_RETURN(const std::vector<S3Object> objects, bucket->List(folder));
  std::vector<std::string> others;
  for (const S3Object& object : objects) {
    if (!parts.contains(object.key)) others.push_back(object.key);
  }
  return others.empty() ? absl::OkStatus() : bucket->Delete(others);
}

absl::Status OfAnotherJob(const std::string& target) {
  return absl::AlreadyExistsError("output " + target + " is there already, from another job; "
                                  "choose another prefix or give the program --overwrite");
}

std::string Nonce(uint64_t job_instance, int64_t batch_ms, uint32_t output) {
  char nonce[96];
  std::snprintf(nonce, sizeof nonce, "%016" PRIx64 "-%" PRId64 "-%u", job_instance, batch_ms,
                output);
  return nonce;
}

std::string DirectoryOf(const std::string& url) { return url.substr(0, url.rfind('/')); }

}  // namespace

absl::Status PublishUploads(OutputBuckets* buckets, const PublishOutput& publish,
                            bool overwrite) {
  const proto::StagedOutput& staged = publish.staged;
  ASSIGN_OR_RETURN(const OutputBuckets::Place place,
                   buckets->Find(staged.target_path() + "/" + kSuccess));
  const std::string folder = place.key.substr(0, place.key.rfind('/') + 1);
  std::set<std::string> parts;
  for (const auto& open : staged.uploads()) parts.insert(open.key());
  bool cleared = false;
  for (const auto& open : staged.uploads()) {
    const S3OpenUpload upload{open.key(), open.id(), {open.etags().begin(), open.etags().end()},
                              open.nonce()};
    absl::Status status = place.bucket->CompleteUpload(upload);
    if (absl::IsAlreadyExists(status) && overwrite) {
      if (!std::exchange(cleared, true)) {
        RETURN_IF_ERROR(ClearOthers(place.bucket.get(), folder, parts));
      }
      RETURN_IF_ERROR(place.bucket->Delete({upload.key}));
      status = place.bucket->CompleteUpload(upload);
    }
    if (absl::IsAlreadyExists(status)) return OfAnotherJob(staged.target_path());
    RETURN_IF_ERROR(status);
  }
  const std::string nonce = Nonce(publish.job_instance, publish.batch_ms, staged.output());
  absl::Status status = place.bucket->PutOnce(place.key, "", nonce);
  if (absl::IsAlreadyExists(status) && overwrite) {
    RETURN_IF_ERROR(ClearOthers(place.bucket.get(), folder, parts));
    status = place.bucket->PutOnce(place.key, "", nonce);
  }
  // All parts are ours. Of another job there may be the word that its parts were whole.
  return absl::IsAlreadyExists(status) ? absl::OkStatus() : status;
}

absl::Status MakeRolledObject(OutputBuckets* buckets, const RollOutput& roll,
                              const Output& output) {
  ASSIGN_OR_RETURN(const OutputBuckets::Place target, buckets->Find(roll.target));
  bool anything = false;
  for (const proto::StagedOutput& staged : roll.staged) anything |= staged.bytes() > 0;
  if (!anything) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool made, target.bucket->Has(target.key));
  if (made) return absl::OkStatus();
  const ReadPart read = [&](const std::string& directory,
                            const std::string& name) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const OutputBuckets::Place part, buckets->Find(directory + "/" + name));
    return part.bucket->Get(part.key);
  };
  std::string bytes;
  const absl::Status gathered = GatherRolled(roll, output, read, [&](std::string_view piece) {
    bytes += piece;
    return absl::OkStatus();
  });
  if (absl::IsDataLoss(gathered)) {  // or another driver made the object meanwhile, and swept
    ASSIGN_OR_RETURN(const bool made_now, target.bucket->Has(target.key));
    if (made_now) return absl::OkStatus();
  }
  RETURN_IF_ERROR(gathered);
  return target.bucket->PutOnce(target.key, bytes,
                                Nonce(roll.job_instance, roll.to_ms, roll.output));
}

absl::Status SweepStagedObjects(OutputBuckets* buckets, const StagedOf& staged,
                                int64_t batch_ms) {
  char name[64];
  std::snprintf(name, sizeof name, "/.sluice-%016" PRIx64 "-", staged.job_instance);
  ASSIGN_OR_RETURN(const OutputBuckets::Place place,
                   buckets->Find(DirectoryOf(staged.prefix) + name));
  ASSIGN_OR_RETURN(const std::vector<S3Object> objects, place.bucket->List(place.key));
  std::vector<std::string> keys;
  for (const S3Object& object : objects) {
    long long ms = 0;
    unsigned output = 0;
    const char* rest = object.key.c_str() + place.key.size();
    const bool parsed = std::sscanf(rest, "%lld-%u-e", &ms, &output) == 2;
    if (parsed && output == staged.output && ms <= batch_ms) keys.push_back(object.key);
  }
  return keys.empty() ? absl::OkStatus() : place.bucket->Delete(keys);
}

absl::Status AbortUndecidedUploads(OutputBuckets* buckets, const StagedOf& staged,
                                   int64_t batch_ms) {
  ASSIGN_OR_RETURN(const OutputBuckets::Place place, buckets->Find(staged.prefix + "-"));
  const std::string part = (staged.suffix.empty() ? "" : "." + staged.suffix) + "/part-";
  std::set<std::string> undecided;  // of this job, if no other has uploads here
  RETURN_IF_ERROR(place.bucket->AbortUploads(place.key, [&](const S3Upload& upload) {
    const char* rest = upload.key.c_str() + place.key.size();
    char* end = nullptr;
    const long long ms = std::strtoll(rest, &end, 10);
    const bool over = end != rest && std::string_view(end).starts_with(part) && ms <= batch_ms;
    if (over) undecided.insert(upload.id);
    return false;
  }));
  if (undecided.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool others,
                   buckets->OthersUpload(staged.prefix, staged.suffix, staged.job_instance));
  if (others) return absl::OkStatus();
  return place.bucket->AbortUploads(
      place.key, [&](const S3Upload& upload) { return undecided.contains(upload.id); });
}

}  // namespace sluice
