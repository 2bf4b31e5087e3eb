// An S3 endpoint in memory, for tests: what one does, and what goes wrong with requests to it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/s3_bucket.h"
#include "checkpoint/s3_client.h"
#include "checkpoint/s3_transport.h"

namespace sluice {

// Happens once, to the next request that it fits.
struct S3Fault {
  std::string method = {};    // empty: any
  std::string key_part = {};  // of the key or the query's names; empty: any
  int status = 0;             // answered instead of carrying it out; 0: no answer at all
  std::string code = {};
  bool effect = false;  // it is carried out all the same
  std::function<void()> before = {};  // called first, with the endpoint free
};

// Thread-safe; shared by all its clients, which it outlives.
class FakeS3 {
 public:
  struct Options {
    bool conditional_puts = true;     // off: the header is taken and ignored
    bool conditional_uploads = true;  // the same for the completion of uploads
    size_t page_keys = 1'000;
    int64_t now_s = 1'700'000'000;
  };
  FakeS3() = default;
  explicit FakeS3(Options options) : options_(options) {}

  // A client of it, with keys "access"/"secret", that waits without passing time: `waits` gets
  // each wait and the clock moves on by it.
  std::shared_ptr<S3Client> NewClient(ManualClock* clock, std::vector<int64_t>* waits = nullptr);
  std::unique_ptr<S3Transport> NewTransport();

  void Add(S3Fault fault);
  void Add(size_t times, const S3Fault& fault);
  // "PUT key", with "?name" for each name of the query, of every request since the last call.
  std::vector<std::string> TakeRequests();
  size_t faults_left();
  void ClearFaults();

  // Only this access key and token are taken from now on; others are answered by 403 and `code`.
  void AcceptOnly(const std::string& access, const std::string& token, const std::string& code);
  void SetTime(int64_t now_s);
  std::vector<std::string> Keys();
  size_t uploads();
  bool FlipBit(const std::string& key, size_t bit);
  void Erase(const std::string& key);

 private:
  class Connection;
  struct Object {
    std::string bytes;
    std::map<std::string, std::string> headers;
    int64_t modified_s = 0;
  };
  struct Upload {
    std::string key;
    std::map<std::string, std::string> headers;
    std::map<int, std::string> pieces;
    int64_t begun_s = 0;
  };

  absl::StatusOr<S3Answer> Send(const S3Request& request, const S3Keys& keys, int64_t signed_at_s);
  S3Answer CarryOut(const S3Request& request);
  S3Answer Put(const S3Request& request);
  S3Answer Get(const S3Request& request);
  S3Answer Post(const S3Request& request);
  S3Answer Complete(const S3Request& request, const std::string& id);
  S3Answer DeleteMany(const S3Request& request);
  S3Answer List(const S3Request& request);
  S3Answer ListUploads();

  Options options_;
  std::mutex mutex_;
  std::deque<S3Fault> faults_;
  std::vector<std::string> requests_;
  std::map<std::string, Object> objects_;
  std::map<std::string, Upload> uploads_;
  int next_upload_ = 1;
  bool keys_limited_ = false;
  std::string access_;
  std::string token_;
  std::string refusal_;
};

}  // namespace sluice
