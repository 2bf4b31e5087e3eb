#include "checkpoint/s3_credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "checkpoint/s3_answers.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

constexpr size_t kFileBytesMax = 64 << 10;
constexpr int64_t kRenewBeforeS = 300;
constexpr int64_t kAskAgainS = 30;  // while the keys are good

// A key of these bytes can neither end a header early nor begin another.
bool IsKeyText(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c == 0x7F) return false;
  }
  return text.size() <= 16'384;
}

absl::StatusOr<S3Keys> Checked(S3Keys keys, const std::string& where) {
  const bool whole = !keys.access.empty() && !keys.secret.empty();
  if (whole && IsKeyText(keys.access) && IsKeyText(keys.secret) && IsKeyText(keys.token)) {
    return keys;
  }
  return absl::PermissionDeniedError("S3 credentials: " + where + " holds no usable key");
}

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

class FixedKeys : public S3KeySource {
 public:
  explicit FixedKeys(S3Keys keys) : keys_(std::move(keys)) {}
  absl::StatusOr<S3Keys> Get() override {
    return Checked(keys_, "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)");
  }
  void Refused() override {}

 private:
  const S3Keys keys_;
};

class KeysOfFile : public S3KeySource {
 public:
  KeysOfFile(std::string path, std::string profile)
      : path_(std::move(path)), profile_(std::move(profile)) {}

  absl::StatusOr<S3Keys> Get() override {
    std::lock_guard lock(mutex_);
    struct stat info = {};
    if (::stat(path_.c_str(), &info) != 0) {
      seen_.reset();
      return absl::PermissionDeniedError(
          "S3 credentials: none in the environment, and no file " + path_);
    }
    if (!seen_.has_value() || !Same(*seen_, info)) {
      ASSIGN_OR_RETURN(keys_, Read(&info));
      seen_ = info;
    }
    return keys_;
  }

  void Refused() override {
    std::lock_guard lock(mutex_);
    seen_.reset();
  }

 private:
  static bool Same(const struct stat& a, const struct stat& b) {
    return a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mode == b.st_mode &&
           a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
  }

  // Looks and reads through one descriptor, so that what is checked is what is read.
  absl::StatusOr<S3Keys> Read(struct stat* info) const {
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return absl::PermissionDeniedError("S3 credentials: cannot read " + path_);
    std::string text(kFileBytesMax + 1, '\0');
    const bool looked = ::fstat(fd, info) == 0;
    size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < text.size(); size += static_cast<size_t>(got)) {
      got = ::read(fd, text.data() + size, text.size() - size);
      if (got < 0) break;
    }
    ::close(fd);
    if (!looked || !S_ISREG(info->st_mode) || size > kFileBytesMax) {
      return absl::PermissionDeniedError("S3 credentials: not a small regular file: " + path_);
    }
    if ((info->st_mode & 077) != 0) {
      return absl::PermissionDeniedError("S3 credentials: others than its owner have access to " +
                                         path_ + "; its mode must be 0600");
    }
    text.resize(size);
    const absl::StatusOr<S3Keys> keys = ParseCredentialsFile(text, profile_);
    if (!keys.ok()) {
      return absl::PermissionDeniedError(
          absl::StrCat("S3 credentials: ", path_, ": ", keys.status().message()));
    }
    return Checked(*keys, path_ + ", profile " + profile_ + ",");
  }

  const std::string path_;
  const std::string profile_;
  std::mutex mutex_;
  std::optional<struct stat> seen_;
  S3Keys keys_;
};

class KeysOfService : public S3KeySource {
 public:
  KeysOfService(Variables variables, Clock* clock, Fetch fetch)
      : variables_(std::move(variables)),
        url_(variables_("AWS_CONTAINER_CREDENTIALS_FULL_URI")),
        clock_(clock),
        fetch_(std::move(fetch)) {}

  absl::StatusOr<S3Keys> Get() override {
    std::lock_guard lock(mutex_);
    if (keys_.has_value() && NowS() < std::min(renew_at_s_, expire_at_s_)) return *keys_;
    absl::Status asked = Ask();
    // Keys may be given for less than that, and the service may be away, or not answer, while the
    // old ones last: it is not to be asked by each request.
    renew_at_s_ = std::max(renew_at_s_, NowS() + kAskAgainS);
    if (asked.ok() || (keys_.has_value() && NowS() < expire_at_s_)) return *keys_;
    return asked;
  }

  void Refused() override {
    std::lock_guard lock(mutex_);
    keys_.reset();
  }

 private:
  int64_t NowS() const { return clock_->WallMs() / 1000; }

  static bool MayBeAsked(const std::string& url) {
    if (url.starts_with("https://")) return true;
    if (!url.starts_with("http://")) return false;
    const std::string host = url.substr(7, url.find('/', 7) - 7);
    return IsLoopbackHost(host) || host == "169.254.170.2" || host == "169.254.170.23";
  }

  absl::Status Ask() {
    if (!MayBeAsked(url_)) {
      return absl::PermissionDeniedError(
          "S3 credentials: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor this host's");
    }
    std::map<std::string, std::string> headers;
    std::string authorization = variables_("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (const std::string file = variables_("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        !file.empty()) {
      ASSIGN_OR_RETURN(authorization, ReadToken(file));
    }
    if (!IsKeyText(authorization)) {
      return absl::PermissionDeniedError("S3 credentials: the service's token is none");
    }
    if (!authorization.empty()) headers["authorization"] = authorization;
    ASSIGN_OR_RETURN(const std::string body, fetch_(url_, headers));
    return Take(body);
  }

  static absl::StatusOr<std::string> ReadToken(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return absl::PermissionDeniedError("S3 credentials: cannot read " + path);
    char text[16'384];
    const ssize_t size = ::read(fd, text, sizeof text);
    ::close(fd);
    std::string token(text, static_cast<size_t>(size < 0 ? 0 : size));
    while (token.ends_with('\n') || token.ends_with('\r')) token.pop_back();
    return token;
  }

  absl::Status Take(const std::string& body) {
    const auto json = nlohmann::json::parse(body, nullptr, false);
    const auto text = [&json](const char* name) {
      const auto found = json.find(name);
      return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    if (!json.is_object()) {
      return absl::UnavailableError("S3 credentials: the service answers no JSON object");
    }
    ASSIGN_OR_RETURN(S3Keys keys, Checked({text("AccessKeyId"), text("SecretAccessKey"),
                                           text("Token")}, "the answer of the service"));
    int64_t expire_at_s = INT64_MAX / 2;
    if (const std::string expires = text("Expiration"); !expires.empty()) {
      ASSIGN_OR_RETURN(expire_at_s, ParseIsoTime(expires));
    }
    expire_at_s_ = expire_at_s;
    renew_at_s_ = expire_at_s - kRenewBeforeS;
    keys_ = std::move(keys);
    return absl::OkStatus();
  }

  const Variables variables_;
  const std::string url_;
  Clock* const clock_;
  const Fetch fetch_;
  std::mutex mutex_;
  std::optional<S3Keys> keys_;
  int64_t renew_at_s_ = 0;
  int64_t expire_at_s_ = 0;  // of keys_
};

}  // namespace

absl::StatusOr<S3Keys> ParseCredentialsFile(std::string_view text, const std::string& profile) {
  S3Keys keys;
  bool inside = false;
  bool found = false;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = Trimmed(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      if (!line.ends_with(']')) {
        return absl::InvalidArgumentError(absl::StrCat("line ", number, " has no end of a name"));
      }
      inside = Trimmed(line.substr(1, line.size() - 2)) == profile;
      found = found || inside;
      continue;
    }
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, " has no \"=\""));
    }
    if (!inside) continue;
    const std::string_view name = Trimmed(line.substr(0, equals));
    const std::string value(Trimmed(line.substr(equals + 1)));
    if (name == "aws_access_key_id") keys.access = value;
    if (name == "aws_secret_access_key") keys.secret = value;
    if (name == "aws_session_token") keys.token = value;
  }
  if (found && !keys.access.empty() && !keys.secret.empty()) return keys;
  return absl::NotFoundError("no keys of profile " + profile);
}

std::unique_ptr<S3KeySource> NewS3KeySource(const Variables& variables, Clock* clock,
                                            Fetch fetch) {
  const std::string access = variables("AWS_ACCESS_KEY_ID");
  const std::string secret = variables("AWS_SECRET_ACCESS_KEY");
  if (!access.empty() || !secret.empty()) {
    return std::make_unique<FixedKeys>(S3Keys{access, secret, variables("AWS_SESSION_TOKEN")});
  }
  std::string path = variables("AWS_SHARED_CREDENTIALS_FILE");
  const bool named = !path.empty();
  if (!named) path = variables("HOME") + "/.aws/credentials";
  const bool service = !variables("AWS_CONTAINER_CREDENTIALS_FULL_URI").empty();
  if (service && !named && ::access(path.c_str(), F_OK) != 0) {
    return std::make_unique<KeysOfService>(variables, clock, std::move(fetch));
  }
  std::string profile = variables("AWS_PROFILE");
  if (profile.empty()) profile = "default";
  return std::make_unique<KeysOfFile>(std::move(path), std::move(profile));
}

}  // namespace sluice
