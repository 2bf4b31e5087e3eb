#include "checkpoint/etcd_answers.h"

#include <string>
#include <vector>

#include "checkpoint/errors.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

const std::string kRoot = "p/slots/";
// As etcd writes it.
const std::string kHeader =
    R"({"header":{"cluster_id":"324952591200643719","member_id":"3319814642761637952",)"
    R"("revision":"3","raft_term":"2"})";
const std::string kFirstKey = "cC9zbG90cy8wMDAwMDAwMDAwMDAwMDAwMDAwMQ==";   // p/slots/0…01
const std::string kSecondKey = "cC9zbG90cy8wMDAwMDAwMDAwMDAwMDAwMDAwMg==";  // p/slots/0…02

std::string Pair(const std::string& key, const std::string& members = "") {
  return R"({"key":")" + key + R"(","create_revision":"2","mod_revision":"2","version":"1")" +
         members + "}";
}
std::string WithKeys(const std::string& pairs) { return kHeader + ",\"kvs\":[" + pairs + "]}"; }

TEST(EtcdAnswersTest, ARangeIsReadAsEtcdWritesIt) {
  const auto page = ParseEtcdPage(kHeader + ",\"kvs\":[" + Pair(kFirstKey, R"(,"value":"YWJj")") +
                                      "," + Pair(kSecondKey) + R"(],"more":true,"count":"9"})",
                                  kRoot, 1);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->slots, (std::vector<EtcdSlot>{{1, "abc"}, {2, ""}}));
  EXPECT_TRUE(page->more);
  const auto empty = ParseEtcdPage(kHeader + "}", kRoot, 1);
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_TRUE(empty->slots.empty());
  EXPECT_FALSE(empty->more);
}

TEST(EtcdAnswersTest, AKeyIsTheNumberInTwentyDigits) {
  EXPECT_EQ(EtcdKey(kRoot, 12), "p/slots/00000000000000000012");
  EXPECT_EQ(EtcdKey(kRoot, UINT64_MAX), "p/slots/18446744073709551615");
}

// A proxy's page, an object without a header, keys that are no list: each read as no slots at all.
TEST(EtcdAnswersTest, WhatIsNoAnswerIsNotAnEmptyLog) {
  const std::string deep(100'000, '[');
  const std::vector<std::string> bad = {
      "", "{}", "[]", "null", "3", "<html></html>", "{\"header\":{}", "{\"header\":3}",
      R"({"kvs":[],"more":false})", kHeader + ",\"kvs\":3}", kHeader + ",\"kvs\":{}}", deep,
      kHeader + ",\"more\":\"true\"}", kHeader + ",\"more\":1}",
      WithKeys(Pair(kSecondKey) + "," + Pair(kFirstKey)),
      WithKeys(Pair(kFirstKey) + "," + Pair(kFirstKey))};
  for (const std::string& body : bad) {
    const auto page = ParseEtcdPage(body, kRoot, 1);
    EXPECT_TRUE(absl::IsUnavailable(page.status())) << body.substr(0, 80) << page.status();
  }
  // Whoever asked for the rest would ask for ever.
  const std::string first = WithKeys(Pair(kFirstKey));
  EXPECT_TRUE(absl::IsUnavailable(ParseEtcdPage(first, kRoot, 2).status()));
}

TEST(EtcdAnswersTest, AKeyThatNamesNoSlotIsDamage) {
  const std::vector<std::string> bad = {
      "3", "null", "[]", "{}", Pair(""), Pair("!"), Pair("cC9zbG90cy8="),
      Pair("cC9zbG90cy8wMDAwMDAwMDAwMDAwMDAwMDAwMQ"  "AA"),       // a byte more
      Pair("cC9zbG90cy8gMDAwMDAwMDAwMDAwMDAwMDAwMQ=="),           // a space for the first digit
      Pair("cC9zbG90cy85OTk5OTk5OTk5OTk5OTk5OTk5OQ=="),           // 99999999999999999999
      Pair("cS9zbG90cy8wMDAwMDAwMDAwMDAwMDAwMDAwMQ=="),           // q/slots/0…01
      R"({"key":7})", Pair(kFirstKey, R"(,"value":"*")")};
  for (const std::string& pair : bad) {
    const auto page = ParseEtcdPage(WithKeys(pair), kRoot, 0);
    EXPECT_TRUE(IsDamaged(page.status())) << pair << page.status();
  }
}

// etcd leaves out what is false. Another type ended the daemon.
TEST(EtcdAnswersTest, ATransactionIsAnsweredByAFlagOrItsAbsence) {
  EXPECT_TRUE(*ParseEtcdSucceeded(kHeader + ",\"succeeded\":true,\"responses\":[]}"));
  EXPECT_FALSE(*ParseEtcdSucceeded(kHeader + ",\"succeeded\":false}"));
  EXPECT_FALSE(*ParseEtcdSucceeded(kHeader + "}"));
  for (const std::string& body :
       {std::string("{}"), std::string("{\"succeeded\":true}"), std::string("nonsense"),
        kHeader + ",\"succeeded\":\"true\"}", kHeader + ",\"succeeded\":null}"}) {
    EXPECT_TRUE(absl::IsUnavailable(ParseEtcdSucceeded(body).status())) << body;
  }
}

TEST(EtcdAnswersTest, AFailureIsOfTheKindThatItsCodeSays) {
  const auto kind = [](int status, const std::string& body) {
    return EtcdFailure(status, body, "h:1").code();
  };
  EXPECT_EQ(kind(400, R"({"error":"etcdserver: request is too large","code":3})"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(kind(500, R"({"error":"mvcc: database space exceeded","code":8})"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(kind(401, "{}"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(kind(403, "not JSON"), absl::StatusCode::kPermissionDenied);
  for (const char* body : {"", "{}", "[3]", "3", R"({"code":"3"})", R"({"code":14})",
                           R"({"code":1e300})", R"({"code":18446744073709551615})"}) {
    EXPECT_EQ(kind(503, body), absl::StatusCode::kUnavailable) << body;
  }
  EXPECT_EQ(EtcdFailure(503, R"({"error":"no leader"})", "h:1").message(),
            "etcd at h:1: no leader (503)");
}

}  // namespace
}  // namespace sluice
