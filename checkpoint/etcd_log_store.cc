#include "checkpoint/etcd_log_store.h"

#include <nlohmann/json.hpp>

#include <cctype>
#include <charconv>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "checkpoint/etcd_answers.h"
#include "checkpoint/s3_transport.h"
#include "common/status.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kEtcd = "etcd://";
constexpr int kPage = 16;  // slots in one answer

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

class EtcdLogStore : public LogStore {
 public:
  explicit EtcdLogStore(EtcdOptions options) : options_(std::move(options)) {}

  absl::Status ReadAll(uint64_t from, const Visitor& visitor) override {
    for (bool more = true; more;) {
      const Json range = Json::object(
          {{"key", Base64(Key(from))}, {"range_end", Base64(End())}, {"limit", kPage}});
      ASSIGN_OR_RETURN(const EtcdPage page, AskForPage(range, from));
      for (const EtcdSlot& slot : page.slots) {
        RETURN_IF_ERROR(visitor(slot.number, slot.bytes));
        from = slot.number + 1;
      }
      more = page.more && !page.slots.empty();
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
    ASSIGN_OR_RETURN(EtcdPage page, AskForPage(one, slot));
    if (page.slots.empty()) return absl::NotFoundError("no such slot: " + Key(slot));
    if (page.slots.front().number != slot) {
      return absl::UnavailableError("etcd answered for another slot than " + Key(slot));
    }
    return std::move(page.slots.front().bytes);
  }

  // At once, so in no order that anybody could see.
  absl::Status DeleteUpTo(uint64_t slot) override {
    const Json range =
        Json::object({{"key", Base64(Key(0))}, {"range_end", Base64(Key(slot + 1))}});
    return Ask("kv/deleterange", range, ParseEtcdSucceeded).status();
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
    ASSIGN_OR_RETURN(const EtcdPage page, AskForPage(last, 0));
    if (page.slots.empty()) return std::nullopt;
    return std::optional<uint64_t>(page.slots.front().number);
  }

  std::string Where() const override { return options_.url.text(); }

 private:
  std::string Root() const { return options_.url.prefix + "/slots/"; }
  std::string Key(uint64_t slot) const { return EtcdKey(Root(), slot); }
  std::string End() const { return options_.url.prefix + "/slots0"; }  // '0' follows '/'

  absl::StatusOr<EtcdPage> AskForPage(const Json& range, uint64_t from) {
    return Ask("kv/range", range,
               [&](std::string_view body) { return ParseEtcdPage(body, Root(), from); });
  }

  absl::Status Transact(const Json& condition, const Json& then, const absl::Status& otherwise) {
    const Json both =
        Json::object({{"compare", Json::array({condition})}, {"success", Json::array({then})}});
    ASSIGN_OR_RETURN(const bool succeeded, Ask("kv/txn", both, ParseEtcdSucceeded));
    return succeeded ? absl::OkStatus() : otherwise;
  }

  // What `parse` makes of the answer. The endpoint that answered last is asked first.
  template <typename Parse>
  std::invoke_result_t<Parse, std::string_view> Ask(const char* method, const Json& request,
                                                    Parse parse) {
    const std::string body = request.dump();
    absl::Status failed;
    const std::vector<std::string>& endpoints = options_.url.endpoints;
    for (size_t tries = 0; tries < endpoints.size(); ++tries) {
      const std::string& endpoint = endpoints[endpoint_ % endpoints.size()];
      const absl::StatusOr<std::string> answer = AskOne(endpoint, method, body);
      if (answer.ok()) {
        auto parsed = parse(std::string_view(*answer));
        if (parsed.ok()) return parsed;
        failed = WithContext("etcd at " + endpoint, parsed.status());
      } else {
        failed = answer.status();
      }
      if (!absl::IsUnavailable(failed)) return failed;
      ++endpoint_;
    }
    return failed;
  }

  absl::StatusOr<std::string> AskOne(const std::string& endpoint, const char* method,
                                     const std::string& body) const {
    UrlPost post;
    post.url = absl::StrCat(options_.ca_file.empty() ? "http://" : "https://", endpoint, "/v3/",
                            method);
    post.json = body;
    post.timeout_ms = options_.timeout_ms;
    post.ca_file = options_.ca_file;
    post.cert_file = options_.cert_file;
    post.key_file = options_.key_file;
    ASSIGN_OR_RETURN(S3Answer answer, PostUrl(post));
    if (answer.status == 200) return std::move(answer.body);
    return EtcdFailure(answer.status, answer.body, endpoint);
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
