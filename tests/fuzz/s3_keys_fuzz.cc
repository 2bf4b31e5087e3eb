// Keys for S3 from outside: a credentials file, whose keys can be written and are read as the same,
// and the answer of a node's service, whose keys cannot end a header. The first byte says which.
#include <algorithm>

#include "checkpoint/s3_credentials.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

std::string Write(const S3Keys& keys, const std::string& profile) {
  return "[" + profile + "]\naws_access_key_id=" + keys.access +
         "\naws_secret_access_key=" + keys.secret + "\naws_session_token=" + keys.token + "\n";
}

void ReadFile(std::string_view text) {
  for (const std::string profile : {"default", "other"}) {
    const auto keys = ParseCredentialsFile(text, profile);
    if (!keys.ok()) continue;
    const auto again = ParseCredentialsFile(Write(*keys, profile), profile);
    FUZZ_CHECK(again.ok() && *again == *keys);
  }
}

bool IsPlain(const std::string& text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c <= ' ' || c == 0x7F; });
}

void AskService(std::string_view answer) {
  ManualClock clock;
  const auto source = NewS3KeySource(
      [](const std::string& name) -> std::string {
        return name == "AWS_CONTAINER_CREDENTIALS_FULL_URI" ? "http://127.0.0.1:1/keys" : "";
      },
      &clock, [&](const std::string&, const auto&) -> absl::StatusOr<std::string> {
        return std::string(answer);
      });
  const auto keys = source->Get();
  if (!keys.ok()) return;
  FUZZ_CHECK(!keys->access.empty() && !keys->secret.empty());
  FUZZ_CHECK(IsPlain(keys->access) && IsPlain(keys->secret) && IsPlain(keys->token));
}

}  // namespace

std::vector<std::string> Seeds() {
  const std::string file(1, '\0'), service("\1");
  return {file + Write({"AKIA", "secret/+=", "token"}, "default"),
          file + "# keys\n; more\n[other]\r\n aws_access_key_id = A \nregion = eu\n"
                 "aws_secret_access_key=S\n[default]\naws_access_key_id=B\n",
          service + R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T",)"
                    R"("Expiration":"2026-11-26T13:00:00Z"})",
          service + R"({"AccessKeyId":"A","SecretAccessKey":"S"})"};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::fuzz;
  Input in(Bytes(data, size));
  if (in.Byte() % 2 == 0) ReadFile(in.Rest());
  else AskService(in.Rest());
  return 0;
}
