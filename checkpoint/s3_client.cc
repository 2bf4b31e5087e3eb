#include "checkpoint/s3_client.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "checkpoint/s3_answers.h"
#include "common/status.h"
#include "glog/logging.h"

namespace sluice {
namespace {

constexpr int64_t kSkewToldS = 60;

uint64_t SeedOf(uint64_t given) {
  if (given != 0) return given;
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

int64_t TryMs(int64_t least_ms, const S3Request& request) {
  const uint64_t more_s = std::min<uint64_t>(request.body.size() >> 20, 3'600);
  return least_ms + static_cast<int64_t>(more_s * 1'000);
}

bool IsOneOf(const std::string& code, std::initializer_list<const char*> codes) {
  return std::any_of(codes.begin(), codes.end(), [&](const char* one) { return code == one; });
}

}  // namespace

struct S3Client::Trying {
  S3Error error_body;
  std::string what;  // "503 SlowDown: reduce your rate"
  bool keys_renewed = false;
  bool time_mended = false;
  absl::Status error;
};

S3Client::S3Client(std::unique_ptr<S3Transport> transport, std::unique_ptr<S3KeySource> keys,
                   S3ClientOptions options)
    : transport_(std::move(transport)),
      keys_(std::move(keys)),
      options_(std::move(options)),
      clock_(options_.clock),
      generator_(SeedOf(options_.seed)) {}

absl::StatusOr<S3Answer> S3Client::Call(const S3Request& request) {
  const MonotonicTime end = clock_->MonotonicUs() + options_.deadline_ms * 1'000;
  Trying trying;
  for (int tries = 1;; ++tries) {
    const absl::StatusOr<S3Keys> keys = keys_->Get();
    absl::StatusOr<S3Answer> answer =
        keys.ok() ? transport_->Send(request, *keys, StoreTimeS(),
                                         TryMs(options_.try_ms, request))
                  : absl::StatusOr<S3Answer>(keys.status());
    if (!answer.ok() && !absl::IsUnavailable(answer.status())) return answer.status();
    Verdict verdict = Verdict::kAgain;
    if (answer.ok()) {
      const absl::StatusOr<int64_t> date_s = ParseHttpTime(answer->Header("date"));
      if (date_s.ok()) answered_at_s_ = *date_s;
      verdict = Judge(request, *answer, &trying);
    } else {
      trying.error = answer.status();
    }
    if (verdict == Verdict::kAnswer) return answer;
    if (verdict == Verdict::kEnd) return trying.error;
    if (clock_->MonotonicUs() >= end) {
      return absl::UnavailableError(absl::StrCat(trying.error.message(), " (", tries, " tries)"));
    }
    if (verdict == Verdict::kAgain) WaitBeforeTry(tries);
  }
}

S3Client::Verdict S3Client::Judge(const S3Request& request, const S3Answer& answer,
                                  Trying* trying) {
  int status = answer.status;
  trying->error_body = ParseS3Error(answer.body);
  const std::string& code = trying->error_body.code;
  // The completion of an upload is answered by 200 before it is known how it ends.
  if (status == 200 && request.method == "POST" && !code.empty()) {
    status = code == "PreconditionFailed" ? 412 : code == "NoSuchUpload" ? 404 : 500;
    if (status != 500) return Verdict::kAnswer;
  }
  if ((status >= 200 && status < 300) || status == 412) return Verdict::kAnswer;
  // One without an error of S3's is not the store's, but that of a proxy before it.
  const bool from_store = !code.empty() || request.method == "HEAD";
  if (status == 404 && from_store && code != "NoSuchBucket") return Verdict::kAnswer;
  trying->what = absl::StrCat(request.method, " ", request.key, ": the store answered ", status,
                              code.empty() ? "" : " ", code, code.empty() ? "" : ": ",
                              trying->error_body.message);
  trying->error = absl::UnavailableError(trying->what);
  if (status == 403 || status == 401 || status == 400) return JudgeKeys(answer, trying);
  if (IsOneOf(code, {"QuotaExceeded", "XMinioStorageFull", "NoSpaceLeftOnDevice"}) ||
      status == 507) {
    trying->error = absl::ResourceExhaustedError(trying->what);
    return Verdict::kEnd;
  }
  const bool soon = status == 307;  // a new bucket, whose name is not known everywhere yet
  if (soon || (status == 404 && !from_store) || status == 408 || status == 409 || status == 429 ||
      status > 501 || status == 500) {
    return Verdict::kAgain;
  }
  const std::string region = answer.Header("x-amz-bucket-region");
  trying->error = RefusedError(
      "S3: " + trying->what +
      (region.empty() ? "" : "; the bucket is in region " + region + ": set AWS_REGION"));
  return Verdict::kEnd;
}

S3Client::Verdict S3Client::JudgeKeys(const S3Answer& answer, Trying* trying) {
  const std::string& code = trying->error_body.code;
  if (IsOneOf(code, {"RequestTimeTooSkewed", "RequestExpired"}) && !trying->time_mended) {
    const absl::StatusOr<int64_t> theirs = ParseHttpTime(answer.Header("date"));
    trying->time_mended = true;
    if (theirs.ok()) {
      const int64_t offset_s = *theirs - clock_->WallMs() / 1000;
      const int64_t before_s = offset_s_.exchange(offset_s);
      LOG_IF(WARNING, std::abs(offset_s - before_s) > kSkewToldS)
          << "the clock of this host and that of the S3 store are " << offset_s
          << " s apart; requests are signed with the store's time";
      return Verdict::kAgainNow;
    }
  }
  if (IsOneOf(code, {"RequestTimeout", "BadDigest", "InvalidDigest", "IncompleteBody",
                     "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"})) {
    return Verdict::kAgain;  // spoiled on its way
  }
  const std::string region = answer.Header("x-amz-bucket-region");
  if (code == "AuthorizationHeaderMalformed" || code == "IllegalLocationConstraintException") {
    trying->error = RefusedError("S3: " + trying->what + "; AWS_REGION may be another" +
                                 (region.empty() ? "" : ": the bucket is in " + region));
    return Verdict::kEnd;
  }
  const bool about_keys = answer.status != 400 || code.empty() ||
                          IsOneOf(code, {"ExpiredToken", "ExpiredTokenException", "InvalidToken",
                                         "TokenRefreshRequired", "InvalidAccessKeyId"});
  if (!about_keys) {
    trying->error = RefusedError("S3: " + trying->what);
    return Verdict::kEnd;
  }
  trying->error = absl::PermissionDeniedError("S3: " + trying->what);
  if (trying->keys_renewed) return Verdict::kEnd;
  trying->keys_renewed = true;
  keys_->Refused();
  return Verdict::kAgainNow;
}

void S3Client::WaitBeforeTry(int tries) {
  const int64_t limit_ms = std::min(options_.delay_max_ms,
                                    options_.first_delay_ms << std::min(tries - 1, 20));
  const auto limit_us = static_cast<uint64_t>(std::max<int64_t>(limit_ms, 1) * 1'000);
  const auto wait_us = static_cast<int64_t>(Random() % limit_us) + 1;
  if (options_.wait != nullptr) return options_.wait(wait_us);
  std::this_thread::sleep_for(std::chrono::microseconds(wait_us));
}

std::string S3Client::NewNonce() {
  char text[33];
  const uint64_t high = Random();
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(high),
                static_cast<unsigned long long>(Random()));
  return text;
}

uint64_t S3Client::Random() {
  std::lock_guard lock(mutex_);
  return generator_();
}

}  // namespace sluice
