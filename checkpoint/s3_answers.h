// What an S3 endpoint says in XML, read strictly and within bounds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

// One element: its text, or its children. Attributes are dropped; white space between children too.
struct XmlElement {
  std::string name;
  std::string text;
  std::vector<XmlElement> children;

  // The text of the first child of that name; empty without one.
  std::string_view Text(std::string_view child) const;
};

// Reads one document. Invalid argument, with the offset, for anything that is not well-formed, and
// for what no such answer has: a document type, CDATA, an entity of its own, text beside children,
// more than 16 levels, 100,000 elements or 16 MiB.
absl::StatusOr<XmlElement> ParseXml(std::string_view bytes);

// The <Error> of a failed request; both empty when the body is none.
struct S3Error {
  std::string code;
  std::string message;
};
S3Error ParseS3Error(std::string_view body);

struct S3Object {
  std::string key;
  uint64_t bytes = 0;
  int64_t modified_s = 0;  // by the store's clock, since 1970
};
// One page of a listing. `next` is the token for the next one, empty on the last.
struct S3Page {
  std::vector<S3Object> objects;
  std::string next;
};
absl::StatusOr<S3Page> ParseS3Page(std::string_view body);

struct S3Upload {
  std::string key;
  std::string id;
  int64_t begun_s = 0;
};
struct S3UploadPage {
  std::vector<S3Upload> uploads;
  std::string next_key;  // both empty on the last page
  std::string next_id;
};
absl::StatusOr<S3UploadPage> ParseS3UploadPage(std::string_view body);

// The id of an upload that was begun.
absl::StatusOr<std::string> ParseS3UploadId(std::string_view body);

// The keys that a request to delete several has not deleted, each with the reason.
absl::StatusOr<std::vector<std::string>> ParseS3Undeleted(std::string_view body);

// Seconds since 1970 of "2026-11-26T13:00:00.000Z" and of "Thu, 26 Nov 2026 13:00:00 GMT".
absl::StatusOr<int64_t> ParseIsoTime(std::string_view text);
absl::StatusOr<int64_t> ParseHttpTime(std::string_view text);

// `text` with & < > " ' escaped.
std::string XmlEscaped(std::string_view text);

}  // namespace sluice
