// The few primitives that Sluice needs beside TLS, all of them OpenSSL's. The one place where its
// headers are included.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace sluice {

// A SHA-256 sum, in pieces: Add any number of times, then Hex once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Add(std::string_view bytes);
  std::string Hex();  // lower case, 64 digits

 private:
  evp_md_ctx_st* const context_;
};

// HMAC-SHA-256 of `text`, lower-case hex.
std::string HmacSha256Hex(std::string_view key, std::string_view text);

// Whether two secrets are equal, in a time that tells only whether their lengths are.
bool EqualSecrets(std::string_view a, std::string_view b);

// Overwrites a secret, also where the compiler sees that nobody reads it again.
void Cleanse(char* secret, size_t size);

}  // namespace sluice
