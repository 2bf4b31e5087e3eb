#include "common/crypto.h"

#include <openssl/crypto.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

// A thread of gRPC was in a handshake when the process ended, and crashed: one of a thousand runs
// of the transport's tests, behind the last of them.
TEST(CryptoTest, WhatOpenSslHoldsIsNotTakenDownBesideHandshakesWhenTheProcessEnds) {
  const auto end = [] {
    OPENSSL_atexit([] { (void)!write(STDERR_FILENO, "taken down", 10); });
    std::exit(0);
  };
  EXPECT_EXIT(end(), testing::ExitedWithCode(0), testing::Not(testing::HasSubstr("taken down")));
}

TEST(CryptoTest, SumsInPiecesLikeTheStandardsExample) {
  Sha256 sum;
  sum.Add("a");
  sum.Add("bc");
  EXPECT_EQ(sum.Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(CryptoTest, SignsLikeTheStandardsExample) {
  EXPECT_EQ(HmacSha256Hex("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(CryptoTest, ComparesSecrets) {
  EXPECT_TRUE(EqualSecrets("abc", "abc"));
  EXPECT_FALSE(EqualSecrets("abc", "abd"));
  EXPECT_FALSE(EqualSecrets("abc", "ab"));
}

TEST(CryptoTest, OverwritesASecret) {
  std::string secret = "secret";
  Cleanse(secret.data(), secret.size());
  EXPECT_EQ(secret, std::string(6, '\0'));
}

}  // namespace
}  // namespace sluice
