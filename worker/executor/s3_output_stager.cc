#include "worker/executor/s3_output_stager.h"

#include <cinttypes>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace sluice {

absl::Status S3OutputStager::Stage(const StagedPart& part, const BatchView& records,
                                   proto::OutputPart* staged) {
  if (part.rolls && records.count == 0) return absl::OkStatus();
  const std::string bytes = FileBytes(part, records);
  staged->set_bytes(bytes.size());
  if (part.rolls) {
    const std::string directory = StagedDirectory(part);
    ASSIGN_OR_RETURN(const OutputBuckets::Place place, buckets_->Find(directory));
    const std::string name =
        absl::StrCat(PartName(part.piece), ".", place.bucket->client().NewNonce());
    RETURN_IF_ERROR(place.bucket->PutIfAbsent(place.key + "/" + name, bytes));
    staged->set_staged_path(directory);
    staged->set_name(name);
    return absl::OkStatus();
  }
  const std::string target =
      absl::StrCat(part.prefix, "-", part.batch_ms, part.suffix.empty() ? "" : ".", part.suffix);
  ASSIGN_OR_RETURN(const OutputBuckets::Place place,
                   buckets_->Find(target + "/" + PartName(part.piece)));
  char nonce[96];
  std::snprintf(nonce, sizeof nonce, "%016" PRIx64 "-%" PRId64 "-%u-%u", part.job_instance,
                part.batch_ms, part.output, part.piece);
  if (!bytes.empty()) {
    RETURN_IF_ERROR(buckets_->MarkUploads(part.prefix, part.suffix, part.job_instance));
  }
  ASSIGN_OR_RETURN(const S3OpenUpload upload,
                   place.bucket->OpenUpload(place.key, bytes, nonce));
  proto::OpenUpload& open = *staged->mutable_upload();
  open.set_key(upload.key);
  open.set_id(upload.id);
  open.set_nonce(upload.nonce);
  for (const std::string& etag : upload.etags) open.add_etags(etag);
  return absl::OkStatus();
}

absl::Status S3OutputStager::Probe(const OutputPlace& place, uint32_t) {
  return TryBucket(probed_, place.prefix, place.suffix);
}

}  // namespace sluice
