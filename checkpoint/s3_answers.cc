#include "checkpoint/s3_answers.h"

#include <ctime>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace sluice {
namespace {

absl::Status Malformed(const std::string& what) {
  return absl::InvalidArgumentError("the store's answer is malformed: " + what);
}

absl::StatusOr<XmlElement> ParseAs(std::string_view root, std::string_view body) {
  ASSIGN_OR_RETURN(XmlElement element, ParseXml(body));
  if (element.name == root) return element;
  return Malformed("<" + element.name + "> where <" + std::string(root) + "> was expected");
}

absl::StatusOr<bool> ParseTruncated(const XmlElement& page) {
  const std::string_view text = page.Text("IsTruncated");
  if (text == "true") return true;
  if (text == "false" || text.empty()) return false;
  return Malformed("IsTruncated is \"" + std::string(text) + "\"");
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  if (text.empty() || text.size() > 18) return Malformed("a size of " + std::string(text));
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return Malformed("a size of " + std::string(text));
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

absl::StatusOr<int64_t> ParseTime(std::string_view text, const char* format) {
  const std::string copy(text);
  std::tm parts = {};
  const char* end = ::strptime(copy.c_str(), format, &parts);
  if (end == nullptr) return Malformed("a time of \"" + copy + "\"");
  return static_cast<int64_t>(::timegm(&parts));
}

}  // namespace

std::string_view XmlElement::Text(std::string_view child) const {
  for (const XmlElement& element : children) {
    if (element.name == child) return element.text;
  }
  return {};
}

S3Error ParseS3Error(std::string_view body) {
  const absl::StatusOr<XmlElement> root = ParseXml(body);
  if (!root.ok() || root->name != "Error") return {};
  return {std::string(root->Text("Code")), std::string(root->Text("Message"))};
}

absl::StatusOr<S3Page> ParseS3Page(std::string_view body) {
  ASSIGN_OR_RETURN(const XmlElement root, ParseAs("ListBucketResult", body));
  S3Page page;
  for (const XmlElement& child : root.children) {
    if (child.name != "Contents") continue;
    S3Object object;
    object.key = std::string(child.Text("Key"));
    if (object.key.empty()) return Malformed("an object without a key");
    ASSIGN_OR_RETURN(object.bytes, ParseSize(child.Text("Size")));
    ASSIGN_OR_RETURN(object.modified_s, ParseIsoTime(child.Text("LastModified")));
    page.objects.push_back(std::move(object));
  }
  ASSIGN_OR_RETURN(const bool truncated, ParseTruncated(root));
  if (!truncated) return page;
  page.next = std::string(root.Text("NextContinuationToken"));
  if (page.next.empty()) return Malformed("a listing that goes on without saying where");
  return page;
}

absl::StatusOr<S3UploadPage> ParseS3UploadPage(std::string_view body) {
  ASSIGN_OR_RETURN(const XmlElement root, ParseAs("ListMultipartUploadsResult", body));
  S3UploadPage page;
  for (const XmlElement& child : root.children) {
    if (child.name != "Upload") continue;
    S3Upload upload;
    upload.key = std::string(child.Text("Key"));
    upload.id = std::string(child.Text("UploadId"));
    if (upload.key.empty() || upload.id.empty()) return Malformed("an upload without key or id");
    ASSIGN_OR_RETURN(upload.begun_s, ParseIsoTime(child.Text("Initiated")));
    page.uploads.push_back(std::move(upload));
  }
  ASSIGN_OR_RETURN(const bool truncated, ParseTruncated(root));
  if (!truncated) return page;
  page.next_key = std::string(root.Text("NextKeyMarker"));
  page.next_id = std::string(root.Text("NextUploadIdMarker"));
  if (page.next_key.empty()) return Malformed("a listing that goes on without saying where");
  return page;
}

absl::StatusOr<std::string> ParseS3UploadId(std::string_view body) {
  ASSIGN_OR_RETURN(const XmlElement root, ParseAs("InitiateMultipartUploadResult", body));
  std::string id(root.Text("UploadId"));
  if (id.empty()) return Malformed("an upload without an id");
  return id;
}

absl::StatusOr<std::vector<std::string>> ParseS3Undeleted(std::string_view body) {
  ASSIGN_OR_RETURN(const XmlElement root, ParseAs("DeleteResult", body));
  std::vector<std::string> undeleted;
  for (const XmlElement& child : root.children) {
    if (child.name != "Error") continue;
    undeleted.push_back(absl::StrCat(ToAbsl(child.Text("Key")), ": ", ToAbsl(child.Text("Code")),
                                     " ", ToAbsl(child.Text("Message"))));
  }
  return undeleted;
}

absl::StatusOr<int64_t> ParseIsoTime(std::string_view text) {
  return ParseTime(text, "%Y-%m-%dT%H:%M:%S");
}

absl::StatusOr<int64_t> ParseHttpTime(std::string_view text) {
  return ParseTime(text, "%a, %d %b %Y %H:%M:%S");
}

std::string XmlEscaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&apos;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

}  // namespace sluice
