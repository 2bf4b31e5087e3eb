// Job binaries and the files that travel with them, named by the SHA-256 of their bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/crypto.h"

namespace sluice::daemon {

// Largest object that is taken.
inline constexpr uint64_t kBinaryBytesMax = uint64_t{4} << 30;

// SHA-256 of a file, lower-case hex.
absl::StatusOr<std::string> DigestOfFile(const std::string& path);

// Thread-safe: the file system arbitrates. Invariants: what stands under a digest has that digest,
// is whole and synced, and is never changed; half an upload is never seen, nor left behind.
class BinaryStore {
 public:
  // Makes the folder and removes what broken uploads left in it. One store per folder.
  static absl::StatusOr<std::unique_ptr<BinaryStore>> Open(const std::string& root);

  bool Has(const std::string& digest, uint64_t size) const;
  // Where the bytes are; NotFound, or InvalidArgument for what is no digest.
  absl::StatusOr<std::string> PathOf(const std::string& digest) const;

  // While it lives, these objects are not collected, whether or not they are here yet.
  class Hold {
   public:
    Hold(BinaryStore* store, std::vector<std::string> digests);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    BinaryStore* const store_;
    const std::vector<std::string> digests_;
  };
  // Removes every object that is neither needed nor held. How many that were.
  size_t Collect(const std::set<std::string>& needed);

  // One object on its way in. Dropped unless Finish was called and succeeded.
  class Upload {
   public:
    ~Upload();
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;
    uint64_t missing() const { return size_ - received_; }
    // InvalidArgument: more bytes than announced. ResourceExhausted: the disk is full.
    absl::Status Write(std::string_view bytes);
    // DataLoss: the bytes are not the ones that the digest names.
    absl::Status Finish();

   private:
    friend class BinaryStore;
    Upload(std::string root, std::string digest, uint64_t size);
    const std::string root_, digest_;
    const uint64_t size_;
    uint64_t received_ = 0;
    std::string temporary_;
    int fd_ = -1;
    Sha256 sum_;
  };
  absl::StatusOr<std::unique_ptr<Upload>> Begin(const std::string& digest, uint64_t size) const;

 private:
  explicit BinaryStore(std::string root) : root_(std::move(root)) {}
  const std::string root_;
  std::mutex mutex_;  // held while objects are removed
  std::map<std::string, int> held_;
};

}  // namespace sluice::daemon
