// What an S3 endpoint says: the XML of its answers, and times.
#include "checkpoint/s3_answers.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

std::string Write(const XmlElement& element) {
  std::string text = "<" + element.name + ">";
  if (element.children.empty()) text += XmlEscaped(element.text);
  for (const XmlElement& child : element.children) text += Write(child);
  return text + "</" + element.name + ">";
}

}  // namespace

std::vector<std::string> Seeds() {
  return {
      "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>a &lt; b</Message></Error>",
      "<ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated><NextContinuationToken>t"
      "</NextContinuationToken><Contents><Key>k&amp;1</Key><Size>12</Size>"
      "<LastModified>2026-11-26T13:00:00.000Z</LastModified></Contents></ListBucketResult>",
      "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>i</UploadId>"
      "<Initiated>2026-11-26T13:00:00Z</Initiated></Upload></ListMultipartUploadsResult>",
      "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>",
      "<DeleteResult><Error><Key>k</Key><Code>c</Code></Error></DeleteResult>",
      "2026-11-26T13:00:00.000Z", "Thu, 26 Nov 2026 13:00:00 GMT"};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view bytes = fuzz::Bytes(data, size);
  (void)ParseS3Error(bytes);
  (void)ParseS3Page(bytes);
  (void)ParseS3UploadPage(bytes);
  (void)ParseS3UploadId(bytes);
  (void)ParseS3Undeleted(bytes);
  (void)ParseIsoTime(bytes);
  (void)ParseHttpTime(bytes);
  const auto document = ParseXml(bytes);
  if (!document.ok()) return 0;
  // What was read can be written, and is read as the same.
  const std::string once = fuzz::Write(*document);
  const auto again = ParseXml(once);
  FUZZ_CHECK(again.ok() && fuzz::Write(*again) == once);
  return 0;
}
