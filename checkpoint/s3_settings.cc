#include "checkpoint/s3_settings.h"

#include <cstdlib>

#include "checkpoint/errors.h"

namespace sluice {
namespace {

std::string FirstSet(const Variables& variables, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::string value = variables(name); !value.empty()) return value;
  }
  return "";
}

bool IsHost(const std::string& host) {
  static constexpr char kAllowed[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_[]:";
  return !host.empty() && host.find_first_not_of(kAllowed) == std::string::npos;
}

}  // namespace

bool IsLoopbackHost(std::string_view host) {
  if (host.starts_with("[::1]")) return host.size() == 5 || host[5] == ':';
  host = host.substr(0, host.find(':'));
  if (host == "localhost") return true;
  return host.starts_with("127.") &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

Variables ProcessVariables() {
  return [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::string() : std::string(value);
  };
}

absl::StatusOr<S3Settings> S3SettingsFrom(const Variables& variables, const std::string& bucket) {
  S3Settings settings;
  settings.region = FirstSet(variables, {"AWS_REGION", "AWS_DEFAULT_REGION"});
  if (settings.region.empty()) settings.region = "us-east-1";
  settings.ca_bundle = variables("AWS_CA_BUNDLE");
  std::string endpoint = FirstSet(variables, {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
  if (endpoint.empty()) {
    const bool dots = bucket.find('.') != std::string::npos;  // no certificate is for such a host
    const std::string service = "s3." + settings.region + ".amazonaws.com";
    settings.host = dots ? service : bucket + "." + service;
    settings.base = "https://" + settings.host + (dots ? "/" + bucket : "");
    return settings;
  }
  while (endpoint.ends_with('/')) endpoint.pop_back();
  const bool tls = endpoint.starts_with("https://");
  const size_t scheme = tls ? 8 : 7;
  if (tls || endpoint.starts_with("http://")) settings.host = endpoint.substr(scheme);
  if (!IsHost(settings.host)) {
    return RefusedError("AWS_ENDPOINT_URL is no http://HOST[:PORT] or https://HOST[:PORT]");
  }
  settings.base = endpoint + "/" + bucket;
  settings.exposed = !tls && !IsLoopbackHost(settings.host);
  return settings;
}

}  // namespace sluice
