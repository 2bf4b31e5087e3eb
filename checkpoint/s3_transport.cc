// The one place where libcurl is included.
#include "checkpoint/s3_transport.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <ctime>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "common/crypto.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr long kConnectMs = 5'000;
constexpr size_t kIdleMax = 32;
constexpr size_t kHeaderBytesMax = 64 << 10;
constexpr curl_off_t kLongerMaxS = 3'600;

struct CloseHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, CloseHandle>;

class HeaderList {
 public:
  ~HeaderList() { curl_slist_free_all(list_); }
  void Add(const std::string& line) { list_ = curl_slist_append(list_, line.c_str()); }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

void InitCurlOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

// What is coming in.
struct Incoming {
  using Clock = std::chrono::steady_clock;
  S3Answer answer;
  Clock::time_point end = {};  // of the time for an answer of no length
  uint64_t bytes_max = 0;
  size_t header_bytes = 0;
  bool head_ended = false;
  bool too_large = false;

  // libcurl takes a connection that is closed in the head of an answer, or behind a body of no
  // given length, for its end. A cut must not pass for an empty object.
  bool Whole(bool has_body) const {
    return head_ended && (!has_body || answer.headers.contains("content-length") ||
                          answer.headers.contains("transfer-encoding"));
  }
};

// libcurl asks each second, too, when nothing moves. `bytes` is what the head says.
int OutOfTime(void* to, curl_off_t bytes, curl_off_t, curl_off_t, curl_off_t) {
  const auto more = std::chrono::seconds(std::min<curl_off_t>(bytes >> 20, kLongerMaxS));
  return Incoming::Clock::now() < static_cast<Incoming*>(to)->end + more ? 0 : 1;
}

size_t TakeBody(char* bytes, size_t, size_t size, void* to) {
  auto& incoming = *static_cast<Incoming*>(to);
  if (incoming.answer.body.size() + size > incoming.bytes_max) {
    incoming.too_large = true;
    return 0;
  }
  incoming.answer.body.append(bytes, size);
  return size;
}

size_t TakeHeader(char* bytes, size_t, size_t size, void* to) {
  auto& incoming = *static_cast<Incoming*>(to);
  const std::string_view line(bytes, size);
  if (line.starts_with("HTTP/")) {  // an answer begins; one of 100 may have gone before it
    incoming.answer.headers.clear();
    incoming.head_ended = false;
    return size;
  }
  if (line == "\r\n" || line == "\n") incoming.head_ended = true;
  incoming.header_bytes += size;
  if (incoming.header_bytes > kHeaderBytesMax) {
    incoming.too_large = true;
    return 0;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string name(line.substr(0, colon));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back()))) {
    value.remove_suffix(1);
  }
  incoming.answer.headers[std::move(name)] = std::string(value);
  return size;
}

std::string SigningTime(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts = {};
  ::gmtime_r(&time, &parts);
  char text[20];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

std::string QueryOf(const std::map<std::string, std::string>& query) {
  std::string text;
  for (const auto& [name, value] : query) {  // by name, as the signature wants them
    absl::StrAppend(&text, text.empty() ? "?" : "&", UrlEncoded(name, false), "=",
                    UrlEncoded(value, false));
  }
  return text;
}

absl::Status Failed(const std::string& what, CURLcode code, const char* detail,
                    const Incoming& incoming) {
  if (incoming.too_large) {
    return absl::UnavailableError(what + ": the answer is larger than it may be");
  }
  if (code == CURLE_ABORTED_BY_CALLBACK) {
    return absl::UnavailableError(what + ": no whole answer in time");
  }
  const std::string why = what + ": " + (*detail != 0 ? detail : curl_easy_strerror(code));
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
    return RefusedError("S3: the server's certificate is not to be trusted; AWS_CA_BUNDLE names "
                        "the authorities that are: " + why);
  }
  return absl::UnavailableError(why);
}

class HttpTransport : public S3Transport {
 public:
  explicit HttpTransport(S3Settings settings) : settings_(std::move(settings)) { InitCurlOnce(); }

  absl::StatusOr<S3Answer> Send(const S3Request& request, const S3Keys& keys, int64_t signed_at_s,
                                int64_t timeout_ms) override {
    Handle handle = TakeIdle();
    if (handle == nullptr) return absl::ResourceExhaustedError("no memory for a request");
    CURL* curl = handle.get();
    Incoming incoming;
    incoming.bytes_max = request.answer_bytes_max;
    char detail[CURL_ERROR_SIZE] = "";
    HeaderList headers;
    FillHeaders(request, keys, signed_at_s, &headers);
    const std::string path = request.key.empty() ? "/" : "/" + UrlEncoded(request.key, true);
    const std::string url = settings_.base + path + QueryOf(request.query);
    const std::string signing = "aws:amz:" + settings_.region + ":s3";
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, signing.c_str());
    curl_easy_setopt(curl, CURLOPT_USERNAME, keys.access.c_str());
    curl_easy_setopt(curl, CURLOPT_PASSWORD, keys.secret.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, TakeHeader);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &incoming);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, TakeBody);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &incoming);
    SetMethod(curl, request);
    SetLimits(curl);
    incoming.end = Incoming::Clock::now() + std::chrono::milliseconds(timeout_ms);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OutOfTime);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &incoming);
    const CURLcode code = curl_easy_perform(curl);
    const std::string what = request.method + " " + settings_.base + path;
    if (code != CURLE_OK) {
      const absl::Status failed = Failed(what, code, detail, incoming);
      // It may have run out, and be renewed.
      return absl::IsUnavailable(failed) ? failed : absl::PermissionDeniedError(failed.message());
    }
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    incoming.answer.status = static_cast<int>(status);
    if (!incoming.Whole(request.method != "HEAD" && status != 204 && status != 304)) {
      return absl::UnavailableError(what + ": the answer has no end");
    }
    PutIdle(std::move(handle));
    return std::move(incoming.answer);
  }

 private:
  // Headers of ours are signed by libcurl as they stand: lower case, one space, none empty.
  void FillHeaders(const S3Request& request, const S3Keys& keys, int64_t signed_at_s,
                   HeaderList* headers) const {
    Sha256 sum;
    sum.Add(request.body);
    headers->Add("host: " + settings_.host);
    headers->Add("x-amz-content-sha256: " + sum.Hex());
    headers->Add("x-amz-date: " + SigningTime(signed_at_s));
    if (!keys.token.empty()) headers->Add("x-amz-security-token: " + keys.token);
    bool typed = false;
    for (const auto& [name, value] : request.headers) {
      headers->Add(absl::StrCat(name, ": ", value));
      typed = typed || name == "content-type";
    }
    if (!typed) headers->Add("content-type: application/octet-stream");
  }

  static void SetMethod(CURL* curl, const S3Request& request) {
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (request.method == "HEAD") {
      curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (request.method == "PUT" || request.method == "POST") {
      curl_easy_setopt(curl, CURLOPT_POST, 1L);
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
      curl_easy_setopt(curl, CURLOPT_EXPECT_100_TIMEOUT_MS, 200L);
    }
  }

  void SetLimits(CURL* curl) const {
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings_.stalled_s));
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    if (!settings_.ca_bundle.empty()) {
      curl_easy_setopt(curl, CURLOPT_CAINFO, settings_.ca_bundle.c_str());
    }
  }

  Handle TakeIdle() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return Handle(curl_easy_init());
    Handle handle = std::move(idle_.back());
    idle_.pop_back();
    return handle;
  }

  // Its connection stays open; nothing else of the request does, keys least of all.
  void PutIdle(Handle handle) {
    curl_easy_reset(handle.get());
    std::lock_guard lock(mutex_);
    if (idle_.size() < kIdleMax) idle_.push_back(std::move(handle));
  }

  const S3Settings settings_;
  std::mutex mutex_;
  std::vector<Handle> idle_;
};

// A request that is not signed, on a connection of its own.
struct PlainRequest {
  PlainRequest(const std::string& url, int64_t timeout_ms, uint64_t answer_bytes_max) {
    InitCurlOnce();
    handle.reset(curl_easy_init());
    incoming.bytes_max = answer_bytes_max;
    if (handle == nullptr) return;
    CURL* curl = handle.get();
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, TakeBody);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &incoming);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
  }

  absl::StatusOr<S3Answer> Perform(const std::string& what) {
    if (handle == nullptr) return absl::ResourceExhaustedError("no memory for a request");
    curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
    const CURLcode code = curl_easy_perform(handle.get());
    if (code != CURLE_OK) return Failed(what, code, detail, incoming);
    long status = 0;
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
    incoming.answer.status = static_cast<int>(status);
    return std::move(incoming.answer);
  }

  Incoming incoming;
  char detail[CURL_ERROR_SIZE] = "";
  HeaderList headers;
  Handle handle;  // ends before what it refers to
};

}  // namespace

std::string S3Answer::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::unique_ptr<S3Transport> NewS3HttpTransport(S3Settings settings) {
  return std::make_unique<HttpTransport>(std::move(settings));
}

absl::StatusOr<std::string> FetchUrl(const std::string& url,
                                     const std::map<std::string, std::string>& headers) {
  PlainRequest request(url, kConnectMs, 64 << 10);
  for (const auto& [name, value] : headers) request.headers.Add(absl::StrCat(name, ": ", value));
  ASSIGN_OR_RETURN(S3Answer answer, request.Perform("GET " + url));
  if (answer.status == 200) return std::move(answer.body);
  return absl::UnavailableError(absl::StrCat("GET ", url, " answered ", answer.status));
}

absl::StatusOr<S3Answer> PostUrl(const UrlPost& post) {
  PlainRequest request(post.url, post.timeout_ms, post.answer_bytes_max);
  if (CURL* curl = request.handle.get(); curl != nullptr) {
    request.headers.Add("content-type: application/json");
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(post.json.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, post.json.data());
    const auto file = [curl](CURLoption option, const std::string& path) {
      if (!path.empty()) curl_easy_setopt(curl, option, path.c_str());
    };
    file(CURLOPT_CAINFO, post.ca_file);
    file(CURLOPT_SSLCERT, post.cert_file);
    file(CURLOPT_SSLKEY, post.key_file);
  }
  return request.Perform("POST " + post.url);
}

std::string UrlEncoded(std::string_view text, bool path) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (std::isalnum(byte) != 0 && byte < 0x80) || c == '-' || c == '.' ||
                       c == '_' || c == '~' || (path && c == '/');
    if (plain) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 15];
    }
  }
  return encoded;
}

}  // namespace sluice
