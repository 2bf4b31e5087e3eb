// The part of S3Bucket that puts large objects, in pieces, and tries what an endpoint does.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "checkpoint/s3_bucket.h"
#include "checkpoint/s3_bucket_parts.h"
#include "common/crc32c.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr uint64_t kPiecesMax = 10'000;

}  // namespace

absl::StatusOr<std::unique_ptr<S3Bucket::Source>> S3Bucket::Source::OpenFile(
    const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::UnavailableError("cannot open " + path);
  struct stat info = {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return absl::UnavailableError("not a regular file: " + path);
  }
  return std::unique_ptr<Source>(new Source(fd, static_cast<uint64_t>(info.st_size)));
}

S3Bucket::Source::~Source() {
  if (fd_ >= 0) ::close(fd_);
}

absl::StatusOr<std::string_view> S3Bucket::Source::Read(uint64_t offset, uint64_t size) {
  size = std::min(size, size_ - std::min(size_, offset));
  if (fd_ < 0) return bytes_.substr(offset, size);
  buffer_.resize(size);
  for (uint64_t done = 0; done < size;) {
    const ssize_t got =
        ::pread(fd_, buffer_.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got <= 0) return absl::DataLossError("a file that is being put cannot be read, or shrank");
    done += static_cast<uint64_t>(got);
  }
  return std::string_view(buffer_);
}

absl::StatusOr<uint32_t> S3Bucket::Source::Checksum() {
  constexpr uint64_t kStep = uint64_t{8} << 20;
  uint32_t crc = 0;
  for (uint64_t offset = 0; offset < size_; offset += kStep) {
    ASSIGN_OR_RETURN(const std::string_view bytes, Read(offset, kStep));
    crc = ExtendCrc32c(crc, bytes);
  }
  return crc;
}

// One multipart upload, aborted at its end unless it was completed.
class S3Bucket::Upload {
 public:
  Upload(S3Client* client, std::string key) : client_(client), key_(std::move(key)) {}
  // One that was left open.
  Upload(S3Client* client, const S3OpenUpload& open)
      : client_(client), key_(open.key), id_(open.id), tags_(open.etags), completed_(true) {}
  ~Upload() {
    if (id_.empty() || completed_) return;
    S3Request abort{"DELETE", key_};
    abort.query = {{"uploadId", id_}};
    (void)client_->Call(abort);  // what stays is aborted at a later opening
  }

  absl::Status Begin(const std::string& nonce, uint32_t crc) {
    S3Request begin{"POST", key_};
    begin.query = {{"uploads", ""}};
    begin.headers = {{kNonceHeader, nonce}, {kCrcHeader, HexOfCrc(crc)}};
    ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(begin));
    if (answer.status != 200) return UnexpectedAnswer(begin, answer);
    absl::StatusOr<std::string> id = ParseS3UploadId(answer.body);
    if (!id.ok()) return absl::UnavailableError("S3: " + std::string(Message(id.status())));
    id_ = *std::move(id);
    return absl::OkStatus();
  }

  absl::Status Add(std::string_view piece) {
    S3Request put{"PUT", key_};
    put.query = {{"partNumber", std::to_string(tags_.size() + 1)}, {"uploadId", id_}};
    put.body = piece;
    ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(put));
    if (answer.status != 200) return UnexpectedAnswer(put, answer);
    tags_.push_back(answer.Header("etag"));
    return absl::OkStatus();
  }

  // It stays when this object is gone.
  S3OpenUpload Leave(const std::string& nonce) {
    completed_ = true;
    return {key_, id_, tags_, nonce};
  }

  // The status of the answer: 200, 412 when the key is taken, 404 when the upload is gone.
  absl::StatusOr<int> Complete() {
    std::string body = "<CompleteMultipartUpload>";
    for (size_t i = 0; i < tags_.size(); ++i) {
      absl::StrAppend(&body, "<Part><PartNumber>", i + 1, "</PartNumber><ETag>",
                      XmlEscaped(tags_[i]), "</ETag></Part>");
    }
    body += "</CompleteMultipartUpload>";
    S3Request complete{"POST", key_};
    complete.query = {{"uploadId", id_}};
    complete.headers = {{kIfNoneMatch, "*"}, {"content-type", "application/xml"}};
    complete.body = body;
    ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(complete));
    const S3Error error = ParseS3Error(answer.body);
    if (answer.status == 412 || error.code == "PreconditionFailed") return 412;
    if (answer.status == 404 || error.code == "NoSuchUpload") return 404;
    if (answer.status != 200) return UnexpectedAnswer(complete, answer);
    completed_ = true;
    return 200;
  }

 private:
  S3Client* const client_;
  const std::string key_;
  std::string id_;
  std::vector<std::string> tags_;
  bool completed_ = false;
};

absl::Status S3Bucket::PutFileIfAbsent(const std::string& key, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Source> source, Source::OpenFile(path));
  const std::string nonce = client_->NewNonce();
  if (source->size() > options_.whole_bytes_max) return PutInPieces(key, source.get(), nonce);
  ASSIGN_OR_RETURN(const std::string_view bytes, source->Read(0, source->size()));
  return PutWhole(key, bytes, Crc32c(bytes), nonce);
}

absl::Status S3Bucket::SendPieces(Source* source, uint32_t crc, Upload* upload) {
  const uint64_t piece =
      std::max(options_.piece_bytes_min, (source->size() + kPiecesMax - 1) / kPiecesMax);
  uint32_t sent = 0;
  for (uint64_t offset = 0; offset < source->size(); offset += piece) {
    ASSIGN_OR_RETURN(const std::string_view bytes, source->Read(offset, piece));
    sent = ExtendCrc32c(sent, bytes);
    RETURN_IF_ERROR(upload->Add(bytes));
  }
  return sent == crc ? absl::OkStatus() : absl::DataLossError("a file changed while it was put");
}

absl::Status S3Bucket::PutInPieces(const std::string& key, Source* source,
                                   const std::string& nonce) {
  ASSIGN_OR_RETURN(const uint32_t crc, source->Checksum());
  Upload upload(client_.get(), key);
  RETURN_IF_ERROR(upload.Begin(nonce, crc));
  RETURN_IF_ERROR(SendPieces(source, crc, &upload));
  ASSIGN_OR_RETURN(const int status, upload.Complete());
  if (status == 200) return absl::OkStatus();
  const absl::Status whose = Whose(key, nonce);
  if (status == 412 || whose.ok()) return whose;
  return absl::UnavailableError("S3: the upload of " + key + " is gone");
}

absl::StatusOr<S3OpenUpload> S3Bucket::OpenUpload(const std::string& key, std::string_view bytes,
                                                  const std::string& nonce) {
  if (bytes.empty()) return S3OpenUpload{key, "", {}, nonce};
  const uint32_t crc = Crc32c(bytes);
  Source source(bytes);
  Upload upload(client_.get(), key);
  RETURN_IF_ERROR(upload.Begin(nonce, crc));
  RETURN_IF_ERROR(SendPieces(&source, crc, &upload));
  return upload.Leave(nonce);
}

absl::Status S3Bucket::TryUpload(const std::string& key) {
  Upload upload(client_.get(), key);
  return upload.Begin(client_->NewNonce(), Crc32c(""));
}

absl::Status S3Bucket::CompleteUpload(const S3OpenUpload& open) {
  if (open.id.empty()) return PutOnce(open.key, "", open.nonce);
  Upload upload(client_.get(), open);
  ASSIGN_OR_RETURN(const int status, upload.Complete());
  if (status == 200) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool there, Has(open.key));
  if (there) return Whose(open.key, open.nonce);
  if (status == 412) return absl::UnavailableError("S3: " + open.key + " was taken and is free");
  return absl::DataLossError("S3: the upload of " + Where() + "/" + open.key +
                             " is gone, and its object not there");
}

absl::Status S3Bucket::Probe(const std::string& taken_key, bool uploads) {
  ASSIGN_OR_RETURN(const std::string before, Get(taken_key));
  S3Request put{"PUT", taken_key};
  put.headers = {{kIfNoneMatch, "*"}};
  put.body = before;
  ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(put));
  if (answer.status != 412) {
    return RefusedError(absl::StrCat(
        "S3: this endpoint takes If-None-Match and ignores it: a put on a key that is taken was "
        "answered ", answer.status, " instead of 412, so two drivers could overwrite each other; "
        "use a store with conditional puts, or rocksdb:/dir: ", Where(), "/", taken_key));
  }
  return uploads ? ProbeUpload(taken_key, before) : absl::OkStatus();
}

absl::Status S3Bucket::ProbeUpload(const std::string& taken_key, std::string_view bytes) {
  Upload upload(client_.get(), taken_key);
  RETURN_IF_ERROR(upload.Begin(client_->NewNonce(), Crc32c(bytes)));
  RETURN_IF_ERROR(upload.Add(bytes));
  ASSIGN_OR_RETURN(const int status, upload.Complete());
  if (status == 412) return absl::OkStatus();
  return RefusedError(absl::StrCat(
      "S3: this endpoint ignores If-None-Match when a multipart upload is completed (it answered ",
      status, " instead of 412): ", Where(), "/", taken_key));
}

}  // namespace sluice
