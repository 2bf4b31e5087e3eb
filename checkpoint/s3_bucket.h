// One bucket: immutable objects by key, put once whatever happens to requests on their way.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/s3_answers.h"
#include "checkpoint/s3_client.h"

namespace sluice {

struct S3BucketOptions {
  uint64_t whole_bytes_max = uint64_t{16} << 20;  // what is larger goes in pieces
  uint64_t piece_bytes_min = uint64_t{8} << 20;   // larger where there would be more than 10,000
  size_t page_keys = 1'000;                       // of listings and of deletions
};

// A multipart upload that has all its bytes and lacks the request that completes it.
struct S3OpenUpload {
  std::string key;
  std::string id;                  // empty: of no bytes, there is no upload
  std::vector<std::string> etags;  // of its pieces
  std::string nonce;               // tells whose the object is, when the key is taken
};

// Thread-safe. Errors of every method as S3Client::Call has them; after an error of a put it is
// unknown whether the object is there, but it is never there in part.
class S3Bucket {
 public:
  S3Bucket(std::string name, std::shared_ptr<S3Client> client, S3BucketOptions options = {})
      : name_(std::move(name)), client_(std::move(client)), options_(options) {}

  // OK: the key was free, and holds these bytes now, durably, by this very call. Already exists:
  // it was taken.
  absl::Status PutIfAbsent(const std::string& key, std::string_view bytes);
  // The same with the bytes of a local file, which is read twice and must not change meanwhile.
  absl::Status PutFileIfAbsent(const std::string& key, const std::string& path);

  // The same for whoever says by `nonce` who it is, and so may put again what it has put: OK, too,
  // when the key holds what was put with this nonce.
  absl::Status PutOnce(const std::string& key, std::string_view bytes, const std::string& nonce);
  // Durable, and visible to nobody before it is completed.
  absl::StatusOr<S3OpenUpload> OpenUpload(const std::string& key, std::string_view bytes,
                                          const std::string& nonce);
  // Whether one may be opened: it is aborted at once, and leaves nothing.
  absl::Status TryUpload(const std::string& key);
  // As PutOnce, without sending the bytes. Data loss: the upload is gone, and its object not there.
  absl::Status CompleteUpload(const S3OpenUpload& upload);
  absl::StatusOr<bool> Has(const std::string& key);

  // Not found when there is none. Damaged (errors.h) when its bytes are not those that were put.
  absl::StatusOr<std::string> Get(const std::string& key,
                                  uint64_t bytes_max = uint64_t{1} << 40);

  // All objects whose keys begin with `prefix` and are behind `after`, by key.
  absl::StatusOr<std::vector<S3Object>> List(const std::string& prefix,
                                             const std::string& after = "");

  // OK, too, for those that are not there. In order, as far as requests of many keys have one.
  absl::Status Delete(const std::vector<std::string>& keys);

  // Aborts the uploads of keys that begin with `prefix` which were begun more than `age_s` ago.
  absl::Status AbortUploads(const std::string& prefix, int64_t age_s);
  // The same, of those that `over` says.
  absl::Status AbortUploads(const std::string& prefix,
                            const std::function<bool(const S3Upload&)>& over);

  // What an endpoint really does with a condition on a key that is taken. OK: puts (and completed
  // uploads, with `uploads`) leave it alone. Refused (exit 3): one of them overwrites, or is not
  // understood; the object then holds what it held.
  absl::Status Probe(const std::string& taken_key, bool uploads);

  S3Client& client() { return *client_; }
  const std::shared_ptr<S3Client>& client_ptr() const { return client_; }
  // For messages: "s3://bucket".
  std::string Where() const { return "s3://" + name_; }

 private:
  class Upload;
  class Source;

  absl::Status PutWhole(const std::string& key, std::string_view bytes, uint32_t crc,
                        const std::string& nonce);
  absl::Status PutInPieces(const std::string& key, Source* source, const std::string& nonce);
  absl::Status SendPieces(Source* source, uint32_t crc, Upload* upload);
  // After 412, or where the answer to the end of an upload was lost: whose object is there?
  absl::Status Whose(const std::string& key, const std::string& nonce);
  absl::Status ProbeUpload(const std::string& taken_key, std::string_view bytes);

  const std::string name_;
  const std::shared_ptr<S3Client> client_;
  const S3BucketOptions options_;
};

}  // namespace sluice
