#include "checkpoint/fake_s3.h"

#include <cstdlib>
#include <ctime>
#include <utility>

#include "checkpoint/s3_answers.h"

namespace sluice {
namespace {

constexpr int64_t kSkewMaxS = 900;

S3Answer Error(int status, const std::string& code) {
  return {status, {}, "<Error><Code>" + code + "</Code><Message>scripted</Message></Error>"};
}

std::string Timed(int64_t seconds, const char* format) {
  const std::time_t time = seconds;
  std::tm parts = {};
  ::gmtime_r(&time, &parts);
  char text[40];
  std::strftime(text, sizeof text, format, &parts);
  return text;
}

std::string Iso(int64_t seconds) { return Timed(seconds, "%Y-%m-%dT%H:%M:%S.000Z"); }

std::string QueryValue(const S3Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? std::string() : found->second;
}

std::map<std::string, std::string> Metadata(const S3Request& request) {
  std::map<std::string, std::string> kept;
  for (const auto& [name, value] : request.headers) {
    if (name.starts_with("x-amz-meta-")) kept[name] = value;
  }
  return kept;
}

class FixedKeys : public S3KeySource {
 public:
  absl::StatusOr<S3Keys> Get() override { return S3Keys{"access", "secret", ""}; }
  void Refused() override {}
};

}  // namespace

class FakeS3::Connection : public S3Transport {
 public:
  explicit Connection(FakeS3* endpoint) : endpoint_(endpoint) {}
  absl::StatusOr<S3Answer> Send(const S3Request& request, const S3Keys& keys, int64_t signed_at_s,
                                int64_t) override {
    return endpoint_->Send(request, keys, signed_at_s);
  }

 private:
  FakeS3* const endpoint_;
};

std::shared_ptr<S3Client> FakeS3::NewClient(ManualClock* clock, std::vector<int64_t>* waits) {
  S3ClientOptions options;
  options.clock = clock;
  options.wait = [clock, waits](int64_t microseconds) {
    if (waits != nullptr) waits->push_back(microseconds);
    clock->Advance(microseconds);
  };
  return std::make_shared<S3Client>(NewTransport(), std::make_unique<FixedKeys>(), options);
}

std::unique_ptr<S3Transport> FakeS3::NewTransport() { return std::make_unique<Connection>(this); }

void FakeS3::Add(S3Fault fault) {
  std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakeS3::Add(size_t times, const S3Fault& fault) {
  for (; times > 0; --times) Add(fault);
}

std::vector<std::string> FakeS3::TakeRequests() {
  std::lock_guard lock(mutex_);
  return std::exchange(requests_, {});
}

size_t FakeS3::faults_left() {
  std::lock_guard lock(mutex_);
  return faults_.size();
}

void FakeS3::ClearFaults() {
  std::lock_guard lock(mutex_);
  faults_.clear();
}

void FakeS3::AcceptOnly(const std::string& access, const std::string& token,
                        const std::string& code) {
  std::lock_guard lock(mutex_);
  keys_limited_ = true;
  access_ = access;
  token_ = token;
  refusal_ = code;
}

void FakeS3::SetTime(int64_t now_s) {
  std::lock_guard lock(mutex_);
  options_.now_s = now_s;
}

std::vector<std::string> FakeS3::Keys() {
  std::lock_guard lock(mutex_);
  std::vector<std::string> keys;
  for (const auto& [key, object] : objects_) keys.push_back(key);
  return keys;
}

size_t FakeS3::uploads() {
  std::lock_guard lock(mutex_);
  return uploads_.size();
}

bool FakeS3::FlipBit(const std::string& key, size_t bit) {
  std::lock_guard lock(mutex_);
  const auto found = objects_.find(key);
  if (found == objects_.end() || bit / 8 >= found->second.bytes.size()) return false;
  found->second.bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
  return true;
}

void FakeS3::Erase(const std::string& key) {
  std::lock_guard lock(mutex_);
  objects_.erase(key);
}

absl::StatusOr<S3Answer> FakeS3::Send(const S3Request& request, const S3Keys& keys,
                                      int64_t signed_at_s) {
  std::string line = request.method + " " + request.key;
  for (const auto& [name, value] : request.query) line += "?" + name;
  S3Fault fault;
  bool faulty = false;
  {
    std::lock_guard lock(mutex_);
    requests_.push_back(line);
    for (auto it = faults_.begin(); it != faults_.end() && !faulty; ++it) {
      if (!it->method.empty() && it->method != request.method) continue;
      if (line.find(it->key_part) == std::string::npos) continue;
      fault = std::move(*it);
      faulty = true;
      faults_.erase(it);
      break;
    }
  }
  if (fault.before) fault.before();
  std::lock_guard lock(mutex_);
  const std::string date = Timed(options_.now_s, "%a, %d %b %Y %H:%M:%S GMT");
  S3Answer answer;
  if (std::abs(signed_at_s - options_.now_s) > kSkewMaxS) {
    answer = Error(403, "RequestTimeTooSkewed");
  } else if (keys_limited_ && (keys.access != access_ || keys.token != token_)) {
    answer = Error(403, refusal_);
  } else if (!faulty || fault.effect || (fault.before && fault.status == 0)) {
    answer = CarryOut(request);
  }
  if (faulty && fault.status != 0) answer = Error(fault.status, fault.code);
  if (faulty && fault.status == 0 && !fault.before) {
    return absl::UnavailableError("scripted: no answer");
  }
  answer.headers["date"] = date;
  if (request.method == "HEAD") answer.body.clear();
  return answer;
}

S3Answer FakeS3::CarryOut(const S3Request& request) {
  if (request.method == "PUT") return Put(request);
  if (request.method == "POST") return Post(request);
  if (request.method == "DELETE") {
    const std::string upload = QueryValue(request, "uploadId");
    if (upload.empty()) {
      objects_.erase(request.key);
    } else if (uploads_.erase(upload) == 0) {
      return Error(404, "NoSuchUpload");
    }
    return {204, {}, ""};
  }
  if (!request.key.empty()) return Get(request);
  return request.query.contains("uploads") ? ListUploads() : List(request);
}

S3Answer FakeS3::Put(const S3Request& request) {
  if (const std::string id = QueryValue(request, "uploadId"); !id.empty()) {
    const auto upload = uploads_.find(id);
    if (upload == uploads_.end()) return Error(404, "NoSuchUpload");
    const int number = std::atoi(QueryValue(request, "partNumber").c_str());
    upload->second.pieces[number] = std::string(request.body);
    return {200, {{"etag", "\"piece-" + std::to_string(number) + "\""}}, ""};
  }
  const bool conditional = request.headers.contains("if-none-match") && options_.conditional_puts;
  if (conditional && objects_.contains(request.key)) return Error(412, "PreconditionFailed");
  objects_[request.key] = {std::string(request.body), Metadata(request), options_.now_s};
  return {200, {}, ""};
}

S3Answer FakeS3::Get(const S3Request& request) {
  const auto found = objects_.find(request.key);
  if (found == objects_.end()) return Error(404, "NoSuchKey");
  return {200, found->second.headers, found->second.bytes};
}

S3Answer FakeS3::Post(const S3Request& request) {
  if (request.query.contains("delete")) return DeleteMany(request);
  if (request.query.contains("uploads")) {
    const std::string id = "upload-" + std::to_string(next_upload_++);
    uploads_[id] = {request.key, Metadata(request), {}, options_.now_s};
    return {200, {}, "<InitiateMultipartUploadResult><UploadId>" + id +
                         "</UploadId></InitiateMultipartUploadResult>"};
  }
  return Complete(request, QueryValue(request, "uploadId"));
}

S3Answer FakeS3::Complete(const S3Request& request, const std::string& id) {
  const auto upload = uploads_.find(id);
  if (upload == uploads_.end()) return Error(404, "NoSuchUpload");
  if (options_.conditional_uploads && objects_.contains(request.key)) {
    return Error(412, "PreconditionFailed");
  }
  const auto body = ParseXml(request.body);
  if (!body.ok()) return Error(400, "MalformedXML");
  std::string bytes;
  for (const XmlElement& part : body->children) {
    const int number = std::atoi(std::string(part.Text("PartNumber")).c_str());
    if (part.Text("ETag") != "\"piece-" + std::to_string(number) + "\"") {
      return Error(400, "InvalidPart");
    }
    bytes += upload->second.pieces[number];
  }
  objects_[request.key] = {bytes, upload->second.headers, options_.now_s};
  uploads_.erase(upload);
  return {200, {}, "<CompleteMultipartUploadResult><Key>k</Key></CompleteMultipartUploadResult>"};
}

S3Answer FakeS3::DeleteMany(const S3Request& request) {
  const auto body = ParseXml(request.body);
  if (!body.ok()) return Error(400, "MalformedXML");
  for (const XmlElement& object : body->children) objects_.erase(std::string(object.Text("Key")));
  return {200, {}, "<DeleteResult/>"};
}

S3Answer FakeS3::List(const S3Request& request) {
  const std::string prefix = QueryValue(request, "prefix");
  std::string after = QueryValue(request, "continuation-token");
  if (after.empty()) after = QueryValue(request, "start-after");
  std::string body = "<ListBucketResult>";
  size_t keys = 0;
  std::string last;
  bool truncated = false;
  for (auto it = objects_.upper_bound(after); it != objects_.end(); ++it) {
    if (!it->first.starts_with(prefix)) continue;
    truncated = keys == options_.page_keys;
    if (truncated) break;
    body += "<Contents><Key>" + XmlEscaped(it->first) + "</Key><Size>" +
            std::to_string(it->second.bytes.size()) + "</Size><LastModified>" +
            Iso(it->second.modified_s) + "</LastModified></Contents>";
    last = it->first;
    ++keys;
  }
  body += truncated ? "<IsTruncated>true</IsTruncated><NextContinuationToken>" + XmlEscaped(last) +
                          "</NextContinuationToken>"
                    : "<IsTruncated>false</IsTruncated>";
  return {200, {}, body + "</ListBucketResult>"};
}

S3Answer FakeS3::ListUploads() {
  std::string body = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>";
  for (const auto& [id, upload] : uploads_) {
    body += "<Upload><Key>" + upload.key + "</Key><UploadId>" + id + "</UploadId><Initiated>" +
            Iso(upload.begun_s) + "</Initiated></Upload>";
  }
  return {200, {}, body + "</ListMultipartUploadsResult>"};
}

}  // namespace sluice
