// The reader of XML behind ParseXml.
#include <cctype>

#include "absl/strings/str_cat.h"
#include "checkpoint/s3_answers.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr size_t kBytesMax = size_t{16} << 20;
constexpr size_t kElementsMax = 100'000;
constexpr int kDepthMax = 16;
constexpr size_t kNameBytesMax = 100;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool IsNameByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' ||
         c == ':';
}

void AppendUtf8(uint32_t code, std::string* text) {
  if (code < 0x80) {
    *text += static_cast<char>(code);
  } else if (code < 0x800) {
    *text += static_cast<char>(0xC0 | code >> 6);
    *text += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *text += static_cast<char>(0xE0 | code >> 12);
    *text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    *text += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    *text += static_cast<char>(0xF0 | code >> 18);
    *text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    *text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    *text += static_cast<char>(0x80 | (code & 0x3F));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view bytes) : bytes_(bytes) {}

  absl::StatusOr<XmlElement> Document() {
    if (bytes_.size() > kBytesMax) return Wrong("too long");
    if (left().starts_with("\xEF\xBB\xBF")) at_ += 3;
    SkipSpace();
    if (left().starts_with("<?xml")) RETURN_IF_ERROR(SkipPast("?>"));
    RETURN_IF_ERROR(SkipSpaceAndComments());
    XmlElement root;
    RETURN_IF_ERROR(Element(1, &root));
    RETURN_IF_ERROR(SkipSpaceAndComments());
    if (!left().empty()) return Wrong("something behind the document");
    return root;
  }

 private:
  std::string_view left() const { return bytes_.substr(at_); }

  absl::Status Wrong(std::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("no XML as S3 answers it: ", ToAbsl(what), " at offset ", at_));
  }

  void SkipSpace() {
    while (at_ < bytes_.size() && IsSpace(bytes_[at_])) ++at_;
  }

  absl::Status SkipPast(std::string_view end) {
    const size_t found = bytes_.find(end, at_);
    if (found == std::string_view::npos) return Wrong("no end of what begins");
    at_ = found + end.size();
    return absl::OkStatus();
  }

  absl::Status SkipSpaceAndComments() {
    for (SkipSpace(); left().starts_with("<!--"); SkipSpace()) {
      RETURN_IF_ERROR(SkipPast("-->"));
    }
    return absl::OkStatus();
  }

  absl::Status Name(std::string* name) {
    const size_t begin = at_;
    while (at_ < bytes_.size() && IsNameByte(bytes_[at_])) ++at_;
    if (at_ == begin || at_ - begin > kNameBytesMax) return Wrong("no name");
    *name = std::string(bytes_.substr(begin, at_ - begin));
    return absl::OkStatus();
  }

  absl::Status Attributes() {
    for (SkipSpace(); at_ < bytes_.size() && IsNameByte(bytes_[at_]); SkipSpace()) {
      std::string name;
      RETURN_IF_ERROR(Name(&name));
      SkipSpace();
      if (!left().starts_with("=")) return Wrong("an attribute without a value");
      ++at_;
      SkipSpace();
      if (!left().starts_with("\"") && !left().starts_with("'")) return Wrong("no quote");
      const std::string_view quote = bytes_.substr(at_++, 1);
      RETURN_IF_ERROR(SkipPast(quote));
    }
    return absl::OkStatus();
  }

  absl::Status Entity(std::string* text) {
    const size_t end = left().substr(0, 12).find(';');
    if (end == std::string_view::npos) return Wrong("an entity without an end");
    const std::string_view name = left().substr(1, end - 1);
    const struct {
      std::string_view name;
      char character;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    bool found = false;
    for (const auto& entity : known) {
      if (entity.name != name) continue;
      *text += entity.character;
      found = true;
    }
    if (!found) RETURN_IF_ERROR(Number(name, text));
    at_ += end + 1;
    return absl::OkStatus();
  }

  absl::Status Number(std::string_view name, std::string* text) {
    const bool hex = name.starts_with("#x");
    if (!name.starts_with("#")) return Wrong("an entity of its own");
    name.remove_prefix(hex ? 2 : 1);
    uint32_t code = 0;
    for (const char c : name) {
      const bool digit = hex ? std::isxdigit(static_cast<unsigned char>(c)) != 0
                             : std::isdigit(static_cast<unsigned char>(c)) != 0;
      if (!digit) return Wrong("no number of a character");
      const int value = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
      code = code * (hex ? 16 : 10) + static_cast<uint32_t>(value);
      if (code > 0x10FFFF) return Wrong("no character");
    }
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    if (name.empty() || code == 0 || surrogate) return Wrong("no character");
    AppendUtf8(code, text);
    return absl::OkStatus();
  }

  absl::Status Element(int depth, XmlElement* element) {
    if (depth > kDepthMax) return Wrong("too deep");
    if (++elements_ > kElementsMax) return Wrong("too many elements");
    if (!left().starts_with("<")) return Wrong("no element");
    ++at_;
    RETURN_IF_ERROR(Name(&element->name));
    RETURN_IF_ERROR(Attributes());
    if (left().starts_with("/>")) {
      at_ += 2;
      return absl::OkStatus();
    }
    if (!left().starts_with(">")) return Wrong("no end of a tag");
    ++at_;
    RETURN_IF_ERROR(Content(depth, element));
    std::string name;
    at_ += 2;  // Content stops at "</"
    RETURN_IF_ERROR(Name(&name));
    SkipSpace();
    if (name != element->name || !left().starts_with(">")) return Wrong("another end tag");
    ++at_;
    return absl::OkStatus();
  }

  absl::Status Content(int depth, XmlElement* element) {
    while (!left().starts_with("</")) {
      if (left().empty()) return Wrong("no end tag");
      if (left().starts_with("<!--")) {
        RETURN_IF_ERROR(SkipPast("-->"));
      } else if (left()[0] == '<') {
        RETURN_IF_ERROR(Element(depth + 1, &element->children.emplace_back()));
      } else if (left()[0] == '&') {
        RETURN_IF_ERROR(Entity(&element->text));
      } else {
        element->text += bytes_[at_++];
      }
    }
    if (element->children.empty()) return absl::OkStatus();
    for (const char c : element->text) {
      if (!IsSpace(c)) return Wrong("text beside elements");
    }
    element->text.clear();
    return absl::OkStatus();
  }

  const std::string_view bytes_;
  size_t at_ = 0;
  size_t elements_ = 0;
};

}  // namespace

absl::StatusOr<XmlElement> ParseXml(std::string_view bytes) { return Parser(bytes).Document(); }

}  // namespace sluice
