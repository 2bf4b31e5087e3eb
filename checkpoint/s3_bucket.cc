#include "checkpoint/s3_bucket.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "checkpoint/s3_bucket_parts.h"
#include "common/crc32c.h"
#include "common/status.h"
#include "glog/logging.h"

namespace sluice {

std::string HexOfCrc(uint32_t crc) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", crc);
  return text;
}

std::string Base64OfCrc(uint32_t crc) {
  const char bytes[] = {static_cast<char>(crc >> 24), static_cast<char>(crc >> 16),
                        static_cast<char>(crc >> 8), static_cast<char>(crc)};
  return absl::Base64Escape(ToAbsl({bytes, sizeof bytes}));
}

absl::Status UnexpectedAnswer(const S3Request& request, const S3Answer& answer) {
  return absl::UnavailableError(absl::StrCat("S3: ", request.method, " ", request.key,
                                             ": unexpected answer ", answer.status));
}

absl::Status S3Bucket::PutIfAbsent(const std::string& key, std::string_view bytes) {
  return PutOnce(key, bytes, client_->NewNonce());
}

absl::Status S3Bucket::PutOnce(const std::string& key, std::string_view bytes,
                               const std::string& nonce) {
  if (bytes.size() <= options_.whole_bytes_max) return PutWhole(key, bytes, Crc32c(bytes), nonce);
  Source source(bytes);
  return PutInPieces(key, &source, nonce);
}

absl::StatusOr<bool> S3Bucket::Has(const std::string& key) {
  const S3Request head{"HEAD", key};
  ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(head));
  if (answer.status == 200 || answer.status == 404) return answer.status == 200;
  return UnexpectedAnswer(head, answer);
}

absl::Status S3Bucket::PutWhole(const std::string& key, std::string_view bytes, uint32_t crc,
                                const std::string& nonce) {
  S3Request put{"PUT", key};
  put.body = bytes;
  put.headers = {{kIfNoneMatch, "*"},
                 {kNonceHeader, nonce},
                 {kCrcHeader, HexOfCrc(crc)},
                 {"x-amz-checksum-crc32c", Base64OfCrc(crc)}};
  ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(put));
  if (answer.status == 200) return absl::OkStatus();
  if (answer.status == 412) return Whose(key, nonce);
  return UnexpectedAnswer(put, answer);
}

absl::Status S3Bucket::Whose(const std::string& key, const std::string& nonce) {
  const S3Request head{"HEAD", key};
  ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(head));
  if (answer.status == 200 && answer.Header(kNonceHeader) == nonce) return absl::OkStatus();
  if (answer.status == 200 || answer.status == 404) {
    return absl::AlreadyExistsError(Where() + "/" + key + " exists");
  }
  return UnexpectedAnswer(head, answer);
}

absl::StatusOr<std::string> S3Bucket::Get(const std::string& key, uint64_t bytes_max) {
  S3Request get{"GET", key};
  get.answer_bytes_max = bytes_max;
  for (int tries = 1;; ++tries) {
    ASSIGN_OR_RETURN(S3Answer answer, client_->Call(get));
    if (answer.status == 404) return absl::NotFoundError(Where() + "/" + key + " is not there");
    if (answer.status != 200) return UnexpectedAnswer(get, answer);
    const std::string crc = answer.Header(kCrcHeader);
    if (crc.empty() || crc == HexOfCrc(Crc32c(answer.body))) return std::move(answer.body);
    if (tries == 2) {
      return DamagedError(absl::StrCat(Where(), "/", key, ": its ", answer.body.size(),
                                       " bytes are not those that were put (CRC-32C)"));
    }
    LOG(WARNING) << Where() << "/" << key << " was not read as it was put; reading it again";
  }
}

absl::StatusOr<std::vector<S3Object>> S3Bucket::List(const std::string& prefix,
                                                     const std::string& after) {
  std::vector<S3Object> found;
  S3Request list{"GET", ""};
  list.query = {{"list-type", "2"},
                {"max-keys", std::to_string(options_.page_keys)},
                {"prefix", prefix}};
  if (!after.empty()) list.query["start-after"] = after;
  for (;;) {
    ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(list));
    if (answer.status != 200) return UnexpectedAnswer(list, answer);
    absl::StatusOr<S3Page> page = ParseS3Page(answer.body);
    if (!page.ok()) return absl::UnavailableError("S3: " + std::string(Message(page.status())));
    for (S3Object& object : page->objects) {
      if (object.key.starts_with(prefix) && object.key > after) found.push_back(std::move(object));
    }
    if (page->next.empty()) break;
    if (page->next == list.query["continuation-token"]) {
      return absl::UnavailableError("S3: a listing of " + prefix + " does not go on");
    }
    list.query["continuation-token"] = page->next;
    list.query.erase("start-after");
  }
  std::ranges::sort(found, {}, &S3Object::key);
  return found;
}

absl::Status S3Bucket::Delete(const std::vector<std::string>& keys) {
  for (size_t begin = 0; begin < keys.size(); begin += options_.page_keys) {
    const size_t end = std::min(keys.size(), begin + options_.page_keys);
    std::string body = "<Delete><Quiet>true</Quiet>";
    for (size_t i = begin; i < end; ++i) {
      body += "<Object><Key>" + XmlEscaped(keys[i]) + "</Key></Object>";
    }
    body += "</Delete>";
    S3Request remove{"POST", ""};
    remove.query = {{"delete", ""}};
    remove.headers = {{"content-type", "application/xml"},
                      {"x-amz-checksum-crc32c", Base64OfCrc(Crc32c(body))},
                      {"x-amz-sdk-checksum-algorithm", "CRC32C"}};
    remove.body = body;
    ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(remove));
    if (answer.status != 200) return UnexpectedAnswer(remove, answer);
    const auto undeleted = ParseS3Undeleted(answer.body);
    if (!undeleted.ok()) return absl::UnavailableError(undeleted.status().message());
    if (!undeleted->empty()) {
      return absl::UnavailableError("S3: not deleted: " + undeleted->front());
    }
  }
  return absl::OkStatus();
}

absl::Status S3Bucket::AbortUploads(const std::string& prefix, int64_t age_s) {
  return AbortUploads(prefix, [&](const S3Upload& upload) {
    return client_->StoreTimeS() - upload.begun_s > age_s;
  });
}

absl::Status S3Bucket::AbortUploads(const std::string& prefix,
                                    const std::function<bool(const S3Upload&)>& over) {
  S3Request list{"GET", ""};
  list.query = {{"uploads", ""}, {"prefix", prefix}};
  for (;;) {
    ASSIGN_OR_RETURN(const S3Answer answer, client_->Call(list));
    if (answer.status != 200) return UnexpectedAnswer(list, answer);
    const absl::StatusOr<S3UploadPage> page = ParseS3UploadPage(answer.body);
    if (!page.ok()) return absl::UnavailableError("S3: " + std::string(Message(page.status())));
    for (const S3Upload& upload : page->uploads) {
      if (!upload.key.starts_with(prefix) || !over(upload)) continue;
      S3Request abort{"DELETE", upload.key};
      abort.query = {{"uploadId", upload.id}};
      RETURN_IF_ERROR(client_->Call(abort).status());
    }
    if (page->next_key.empty()) return absl::OkStatus();
    if (page->next_key == list.query["key-marker"] &&
        page->next_id == list.query["upload-id-marker"]) {
      return absl::UnavailableError("S3: a listing of uploads does not go on");
    }
    list.query["key-marker"] = page->next_key;
    list.query["upload-id-marker"] = page->next_id;
  }
}

}  // namespace sluice
