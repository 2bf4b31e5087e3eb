#include "checkpoint/etcd_log_store.h"

#include <nlohmann/json.hpp>

#include <cctype>
#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "checkpoint/s3_transport.h"
#include "common/status.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kEtcd = "etcd://";
constexpr size_t kSlotDigits = 20;
constexpr int kPage = 16;                 // slots in one answer
constexpr int kEtcdTooLarge = 3;          // gRPC's INVALID_ARGUMENT
constexpr int kEtcdNoSpace = 8;           // and RESOURCE_EXHAUSTED

bool IsEndpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) return false;
  int port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
  if (error != std::errc() || stop != end || port <= 0 || port > 65535) return false;
  for (const char c : text.substr(0, colon)) {
    const bool alnum = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (!alnum && std::string_view(".-_[]:").find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool IsPrefix(std::string_view text) {
  if (text.empty() || text.size() > 500 || text.front() == '/' || text.back() == '/') return false;
  for (const char c : text) {
    const bool alnum = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (!alnum && std::string_view("/._-").find(c) == std::string_view::npos) return false;
  }
  return true;
}

std::string Base64(std::string_view bytes) { return absl::Base64Escape(ToAbsl(bytes)); }

// A member of an answer, as text; empty when it is not there or is no text.
std::string TextOf(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::string> BytesOf(const Json& object, const char* name) {
  std::string bytes;
  if (!absl::Base64Unescape(TextOf(object, name), &bytes)) return std::nullopt;
  return bytes;
}

class EtcdLogStore : public LogStore {
 public:
  explicit EtcdLogStore(EtcdOptions options) : options_(std::move(options)) {}

  absl::Status ReadAll(uint64_t from, const Visitor& visitor) override {
    for (bool more = true; more;) {
      const Json range = Json::object(
          {{"key", Base64(Key(from))}, {"range_end", Base64(End())}, {"limit", kPage}});
      ASSIGN_OR_RETURN(const Json answer, Ask("kv/range", range));
      ASSIGN_OR_RETURN(const std::vector<Slot> slots, SlotsOf(answer));
      for (const Slot& slot : slots) {
        RETURN_IF_ERROR(visitor(slot.number, slot.bytes));
        from = slot.number + 1;
      }
      more = answer.value("more", false) && !slots.empty();
    }
    return absl::OkStatus();
  }

  absl::Status PutIfAbsent(uint64_t slot, std::string_view bytes) override {
    const std::string key = Base64(Key(slot));
    const Json put = Json::object({{"key", key}, {"value", Base64(bytes)}});
    return Transact(Json::object({{"key", key}, {"target", "CREATE"}, {"result", "EQUAL"},
                                  {"create_revision", "0"}}),
                    Json::object({{"request_put", put}}),
                    absl::AlreadyExistsError("slot exists: " + Key(slot)));
  }

  absl::StatusOr<std::string> Get(uint64_t slot) override {
    const Json one = Json::object({{"key", Base64(Key(slot))}});
    ASSIGN_OR_RETURN(const Json answer, Ask("kv/range", one));
    ASSIGN_OR_RETURN(std::vector<Slot> slots, SlotsOf(answer));
    if (slots.empty()) return absl::NotFoundError("no such slot: " + Key(slot));
    return std::move(slots.front().bytes);
  }

  // At once, so in no order that anybody could see.
  absl::Status DeleteUpTo(uint64_t slot) override {
    const Json range =
        Json::object({{"key", Base64(Key(0))}, {"range_end", Base64(Key(slot + 1))}});
    return Ask("kv/deleterange", range).status();
  }

  absl::Status CutTail(uint64_t slot, std::string_view bytes) override {
    const std::string key = Base64(Key(slot));
    return Transact(Json::object({{"key", key}, {"target", "VALUE"}, {"result", "EQUAL"},
                                  {"value", Base64(bytes)}}),
                    Json::object({{"request_delete_range", Json::object({{"key", key}})}}),
                    absl::OkStatus());
  }

  // What a majority has taken is durable, so the highest key is the witness.
  absl::StatusOr<std::optional<uint64_t>> DurableLength() override {
    const Json last =
        Json::object({{"key", Base64(Key(0))}, {"range_end", Base64(End())}, {"limit", 1},
                      {"sort_order", "DESCEND"}, {"sort_target", "KEY"}, {"keys_only", true}});
    ASSIGN_OR_RETURN(const Json answer, Ask("kv/range", last));
    ASSIGN_OR_RETURN(const std::vector<Slot> slots, SlotsOf(answer));
    if (slots.empty()) return std::nullopt;
    return std::optional<uint64_t>(slots.front().number);
  }

  std::string Where() const override { return options_.url.text(); }

 private:
  struct Slot {
    uint64_t number = 0;
    std::string bytes;
  };

  std::string Root() const { return options_.url.prefix + "/slots/"; }
  std::string Key(uint64_t slot) const {
    char digits[24];
    std::snprintf(digits, sizeof digits, "%020llu", static_cast<unsigned long long>(slot));
    return Root() + digits;
  }
  std::string End() const { return options_.url.prefix + "/slots0"; }  // '0' follows '/'

  absl::StatusOr<std::vector<Slot>> SlotsOf(const Json& answer) const {
    std::vector<Slot> slots;
    const auto pairs = answer.find("kvs");
    if (pairs == answer.end() || !pairs->is_array()) return slots;
    for (const Json& pair : *pairs) {
      const std::optional<std::string> key = BytesOf(pair, "key");
      std::optional<std::string> bytes = BytesOf(pair, "value");
      Slot slot;
      const size_t begin = Root().size();
      const bool named = key && bytes && key->size() == begin + kSlotDigits &&
                         key->starts_with(Root());
      if (named) {
        const char* end = key->data() + key->size();
        const auto [stop, error] = std::from_chars(key->data() + begin, end, slot.number);
        if (error == std::errc() && stop == end) {
          slot.bytes = *std::move(bytes);
          slots.push_back(std::move(slot));
          continue;
        }
      }
      return DamagedError("log damaged: no name of a slot in " + Where());
    }
    return slots;
  }

  absl::Status Transact(const Json& condition, const Json& then, const absl::Status& otherwise) {
    ASSIGN_OR_RETURN(const Json answer,
                     Ask("kv/txn", Json::object({{"compare", Json::array({condition})},
                                                  {"success", Json::array({then})}})));
    return answer.value("succeeded", false) ? absl::OkStatus() : otherwise;
  }

  // The endpoint that answered last is asked first.
  absl::StatusOr<Json> Ask(const char* method, const Json& request) {
    const std::string body = request.dump();
    absl::Status failed;
    for (size_t tries = 0; tries < options_.url.endpoints.size(); ++tries) {
      const size_t at = endpoint_ % options_.url.endpoints.size();
      absl::StatusOr<Json> answer = AskOne(options_.url.endpoints[at], method, body);
      if (answer.ok() || !absl::IsUnavailable(answer.status())) return answer;
      failed = answer.status();
      ++endpoint_;
    }
    return failed;
  }

  absl::StatusOr<Json> AskOne(const std::string& endpoint, const char* method,
                              const std::string& body) const {
    UrlPost post;
    post.url = absl::StrCat(options_.ca_file.empty() ? "http://" : "https://", endpoint, "/v3/",
                            method);
    post.json = body;
    post.timeout_ms = options_.timeout_ms;
    post.ca_file = options_.ca_file;
    post.cert_file = options_.cert_file;
    post.key_file = options_.key_file;
    ASSIGN_OR_RETURN(const S3Answer answer, PostUrl(post));
    Json parsed = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    if (parsed.is_discarded() || !parsed.is_object()) {
      return absl::UnavailableError(absl::StrCat(post.url, " answered ", answer.status,
                                                 " and no JSON"));
    }
    if (answer.status == 200) return parsed;
    const auto code = parsed.find("code");
    const int number = code != parsed.end() && code->is_number_integer() ? code->get<int>() : 0;
    const std::string why =
        absl::StrCat("etcd at ", endpoint, ": ", TextOf(parsed, "error"), " (", answer.status, ")");
    if (number == kEtcdTooLarge || number == kEtcdNoSpace) {
      return absl::ResourceExhaustedError(why);
    }
    if (answer.status == 401 || answer.status == 403) return absl::PermissionDeniedError(why);
    return absl::UnavailableError(why);
  }

  const EtcdOptions options_;
  std::atomic<size_t> endpoint_ = 0;
};

}  // namespace

std::string EtcdUrl::text() const {
  std::string joined;
  for (const std::string& endpoint : endpoints) {
    absl::StrAppend(&joined, joined.empty() ? "" : ",", endpoint);
  }
  return absl::StrCat(ToAbsl(kEtcd), joined, "/", prefix);
}

absl::StatusOr<EtcdUrl> ParseEtcdUrl(std::string_view url) {
  const auto unusable = [url](const std::string& why) {
    return UsageError("store URL: " + why + ", expected etcd://host:port[,host:port]/prefix: \"" +
                      std::string(url) + "\"");
  };
  if (!url.starts_with(kEtcd)) return unusable("another scheme");
  std::string_view rest = url.substr(kEtcd.size());
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos || !IsPrefix(rest.substr(slash + 1))) {
    return unusable("a prefix of its own must follow");
  }
  EtcdUrl result;
  result.prefix = std::string(rest.substr(slash + 1));
  for (rest = rest.substr(0, slash);;) {
    const size_t comma = rest.find(',');
    const std::string_view endpoint = rest.substr(0, comma);
    if (!IsEndpoint(endpoint)) return unusable("no HOST:PORT");
    result.endpoints.emplace_back(endpoint);
    if (comma == std::string_view::npos) return result;
    rest.remove_prefix(comma + 1);
  }
}

EtcdOptions EtcdOptionsFrom(const Variables& variables, EtcdUrl url) {
  EtcdOptions options;
  options.url = std::move(url);
  options.ca_file = variables("ETCDCTL_CACERT");
  options.cert_file = variables("ETCDCTL_CERT");
  options.key_file = variables("ETCDCTL_KEY");
  return options;
}

std::unique_ptr<LogStore> NewEtcdLogStore(EtcdOptions options) {
  return std::make_unique<EtcdLogStore>(std::move(options));
}

}  // namespace sluice
