#include "checkpoint/s3_answers.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr char kPage[] = R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>b</Name><Prefix>p/</Prefix><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>
  <Contents><Key>p/a&amp;b</Key><LastModified>2026-11-26T13:00:00.000Z</LastModified>
    <ETag>&quot;x&quot;</ETag><Size>12</Size></Contents>
  <Contents><Key>p/&#228;&#x20AC;</Key><LastModified>1970-01-01T00:01:00Z</LastModified>
    <Size>0</Size></Contents>
  <NextContinuationToken>1+/=</NextContinuationToken>
</ListBucketResult>)";

TEST(S3AnswersTest, APageOfAListingIsRead) {
  const auto page = ParseS3Page(kPage);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->objects.size(), 2u);
  EXPECT_EQ(page->objects[0].key, "p/a&b");
  EXPECT_EQ(page->objects[0].bytes, 12u);
  EXPECT_EQ(page->objects[0].modified_s, 1795698000);
  EXPECT_EQ(page->objects[1].key, "p/\xC3\xA4\xE2\x82\xAC");
  EXPECT_EQ(page->objects[1].modified_s, 60);
  EXPECT_EQ(page->next, "1+/=");
}

TEST(S3AnswersTest, ErrorsUploadsAndDeletionsAreRead) {
  EXPECT_EQ(ParseS3Error("<Error><Code>SlowDown</Code><Message>less</Message></Error>").code,
            "SlowDown");
  EXPECT_EQ(ParseS3Error("").code, "");
  EXPECT_EQ(ParseS3Error("<html>busy</html>").code, "");
  EXPECT_EQ(*ParseS3UploadId("<InitiateMultipartUploadResult><UploadId>u1</UploadId>"
                             "</InitiateMultipartUploadResult>"),
            "u1");
  const auto uploads = ParseS3UploadPage(
      "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
      "<NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>k</Key><UploadId>u</UploadId>"
      "<Initiated>1970-01-01T00:00:09.5Z</Initiated></Upload></ListMultipartUploadsResult>");
  ASSERT_TRUE(uploads.ok()) << uploads.status();
  EXPECT_EQ(uploads->uploads.at(0).begun_s, 9);
  EXPECT_EQ(uploads->next_key + uploads->next_id, "ku");
  const auto undeleted = ParseS3Undeleted(
      "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code>"
      "<Message>no</Message></Error></DeleteResult>");
  EXPECT_EQ(*undeleted, std::vector<std::string>{"b: AccessDenied no"});
  EXPECT_EQ(*ParseHttpTime("Thu, 26 Nov 2026 13:00:00 GMT"), 1795698000);
}

TEST(S3AnswersTest, NoPrefixOfAnAnswerIsTakenForOne) {
  const std::string page = kPage;
  for (size_t size = 0; size < page.size(); ++size) {
    EXPECT_FALSE(ParseS3Page(page.substr(0, size)).ok()) << size;
  }
}

TEST(S3AnswersTest, WhatNoStoreAnswersIsRefused) {
  std::string deep;
  for (int i = 0; i < 17; ++i) deep += "<a>";
  std::string wide = "<a>";
  for (int i = 0; i < 100'000; ++i) wide += "<b/>";
  const std::vector<std::string> bad = {
      "", "x", "<", "<a", "<a>", "<a></b>", "<a/>x", "<a/><b/>", "<a b></a>", "<a b=c/>",
      "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "<a>&x;</a>", "<a>&#0;</a>", "<a>&#xD800;</a>",
      "<a>&#x110000;</a>", "<a>&#;</a>", "<a>&#99999999999;</a>", "<a>&amp</a>", "<a>&</a>",
      "<a><![CDATA[x]]></a>", "<a>text<b/></a>", "<a><?php ?></a>", "<a", "<a><!-- </a>",
      "<" + std::string(101, 'n') + "/>", deep, wide + "</a>",
      "<a>" + std::string(size_t{16} << 20, 'x') + "</a>"};
  for (const std::string& text : bad) {
    EXPECT_FALSE(ParseXml(text).ok()) << text.substr(0, 60);
  }
}

TEST(S3AnswersTest, AListingThatCannotBeTrustedIsRefused) {
  const auto page = [](const std::string& inside) {
    return ParseS3Page("<ListBucketResult>" + inside + "</ListBucketResult>").ok();
  };
  const std::string time = "<LastModified>2026-11-26T13:00:00.000Z</LastModified>";
  EXPECT_TRUE(page("<Contents><Key>a</Key><Size>1</Size>" + time + "</Contents>"));
  EXPECT_FALSE(page("<Contents><Size>1</Size>" + time + "</Contents>"));
  EXPECT_FALSE(page("<Contents><Key>a</Key><Size>-1</Size>" + time + "</Contents>"));
  EXPECT_FALSE(page("<Contents><Key>a</Key><Size>9999999999999999999</Size>" + time +
                    "</Contents>"));
  EXPECT_FALSE(page("<Contents><Key>a</Key><Size>1</Size></Contents>"));
  EXPECT_FALSE(page("<IsTruncated>true</IsTruncated>"));
  EXPECT_FALSE(page("<IsTruncated>perhaps</IsTruncated>"));
  EXPECT_FALSE(ParseS3Page("<Error><Code>InternalError</Code></Error>").ok());
}

// Bytes changed at random neither crash it nor make it read beyond its input.
TEST(S3AnswersTest, SpoiledAnswersAreReadWithinBounds) {
  uint64_t state = 42;
  const auto next = [&state](size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>((state >> 33) % below);
  };
  for (int round = 0; round < 20'000; ++round) {
    std::string spoiled = kPage;
    for (size_t changes = 1 + next(4); changes > 0; --changes) {
      const size_t at = next(spoiled.size());
      switch (next(3)) {
        case 0: spoiled[at] = static_cast<char>(next(256)); break;
        case 1: spoiled.erase(at, next(20)); break;
        default: spoiled.insert(at, spoiled.substr(next(spoiled.size()), next(20)));
      }
    }
    (void)ParseS3Page(spoiled);
    (void)ParseS3Error(spoiled);
  }
}

}  // namespace
}  // namespace sluice
