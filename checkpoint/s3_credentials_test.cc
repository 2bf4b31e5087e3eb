#include "checkpoint/s3_credentials.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

Variables Of(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::string() : found->second;
  };
}

class S3CredentialsTest : public testing::Test {
 protected:
  S3CredentialsTest() : folder_(testing::TempDir() + "keys_" + std::to_string(::getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~S3CredentialsTest() override { fs::remove_all(folder_); }
  // As a process that renews keys does it: written aside, renamed into place.
  void Write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path() + ".new") << text;
    ::chmod((path() + ".new").c_str(), mode);
    fs::rename(path() + ".new", path());
  }
  std::string path() const { return folder_ + "/credentials"; }
  std::unique_ptr<S3KeySource> FromFile(const std::string& profile = "") {
    return NewS3KeySource(Of({{"AWS_SHARED_CREDENTIALS_FILE", path()}, {"AWS_PROFILE", profile}}),
                          &clock_);
  }

  std::string folder_;
  ManualClock clock_;
};

TEST_F(S3CredentialsTest, TheEnvironmentGoesFirst) {
  const auto keys = NewS3KeySource(Of({{"AWS_ACCESS_KEY_ID", "A"},
                                       {"AWS_SECRET_ACCESS_KEY", "S"},
                                       {"AWS_SESSION_TOKEN", "T"},
                                       {"AWS_SHARED_CREDENTIALS_FILE", "/nowhere"}}),
                                   &clock_)
                        ->Get();
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(*keys, (S3Keys{"A", "S", "T"}));
}

TEST_F(S3CredentialsTest, AFileIsReadByProfileAndAgainWhenItChanged) {
  Write("# keys\n[default]\naws_access_key_id = A1\naws_secret_access_key=S1\n\n"
        "[other]\naws_access_key_id=A2\naws_secret_access_key=S2=\naws_session_token=T2\n");
  EXPECT_EQ(*FromFile("other")->Get(), (S3Keys{"A2", "S2=", "T2"}));
  const auto source = FromFile();
  EXPECT_EQ(*source->Get(), (S3Keys{"A1", "S1", ""}));
  Write("[default]\naws_access_key_id = A3\naws_secret_access_key=S3\n");
  EXPECT_EQ(*source->Get(), (S3Keys{"A3", "S3", ""}));
}

TEST_F(S3CredentialsTest, AFileThatOthersMayReadIsRefused) {
  const std::string text = "[default]\naws_access_key_id=AKIA\naws_secret_access_key=SECRET\n";
  for (const mode_t mode : {0640, 0604, 0644, 0620}) {
    Write(text, mode);
    const auto keys = FromFile()->Get();
    EXPECT_TRUE(absl::IsPermissionDenied(keys.status())) << keys.status();
    EXPECT_EQ(keys.status().ToString().find("SECRET"), std::string::npos);
  }
  Write(text);
  EXPECT_TRUE(FromFile()->Get().ok());
}

TEST_F(S3CredentialsTest, WhatIsNoCredentialsFileIsRefusedWithoutShowingIt) {
  const std::vector<std::string> bad = {
      "", "[default]\n", "[default]\naws_access_key_id=A\n", "[default\n", "SECRET\n",
      "[other]\naws_access_key_id=A\naws_secret_access_key=SECRET\n",
      "[default]\naws_access_key_id=A\naws_secret_access_key=SEC RET\n",
      "[default]\naws_access_key_id=A\x01\naws_secret_access_key=SECRET\n",
      "[default]\naws_access_key_id=A\naws_secret_access_key=S\n" + std::string(70'000, '#')};
  for (const std::string& text : bad) {
    Write(text);
    const auto keys = FromFile()->Get();
    EXPECT_TRUE(absl::IsPermissionDenied(keys.status())) << text.substr(0, 60);
    EXPECT_EQ(keys.status().ToString().find("SEC"), std::string::npos) << keys.status();
  }
  fs::remove(path());
  EXPECT_TRUE(absl::IsPermissionDenied(FromFile()->Get().status()));
}

TEST_F(S3CredentialsTest, AServiceIsAskedAgainBeforeItsKeysRunOut) {
  clock_.SetWallMs(1'000'000'000);  // 1970-01-12T13:46:40Z
  std::vector<std::string> asked;
  std::string answer = R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T1",
                           "Expiration":"1970-01-12T14:46:40Z"})";
  const auto source = NewS3KeySource(
      Of({{"HOME", folder_},
          {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/keys"},
          {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "token"}}),
      &clock_, [&](const std::string& url, const std::map<std::string, std::string>& headers) {
        asked.push_back(url + " " + headers.at("authorization"));
        return answer.empty() ? absl::StatusOr<std::string>(absl::UnavailableError("away"))
                              : absl::StatusOr<std::string>(answer);
      });
  EXPECT_EQ(source->Get()->token, "T1");
  EXPECT_EQ(source->Get()->token, "T1");
  EXPECT_EQ(asked, std::vector<std::string>{"http://127.0.0.1:1/keys token"});
  clock_.Advance(int64_t{56} * 60 * 1'000'000);
  answer.clear();
  EXPECT_EQ(source->Get()->token, "T1") << "they still last for four minutes";
  clock_.Advance(int64_t{5} * 60 * 1'000'000);
  EXPECT_TRUE(absl::IsUnavailable(source->Get().status()));
  answer = R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T2"})";
  EXPECT_EQ(source->Get()->token, "T2");
  for (const char* bad : {"", "[]", "{", R"({"AccessKeyId":1})",
                          R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"a\r\nb"})"}) {
    answer = bad;
    source->Refused();
    EXPECT_FALSE(source->Get().ok()) << bad;
  }
}

// One that hangs held up each request of the process for five seconds, one after the other.
TEST_F(S3CredentialsTest, AServiceThatIsAwayIsNotAskedByEachRequestWhileItsKeysAreGood) {
  clock_.SetWallMs(1'000'000'000);
  int asked = 0;
  bool away = false;
  const auto source = NewS3KeySource(
      Of({{"HOME", folder_},
          {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/keys"}}),
      &clock_, [&](const std::string&, const auto&) -> absl::StatusOr<std::string> {
        ++asked;
        if (away) return absl::UnavailableError("away");
        return R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T",
                   "Expiration":"1970-01-12T13:50:00Z"})";  // in 200 s
      });
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(source->Get().ok());
  EXPECT_EQ(asked, 1);
  away = true;
  clock_.Advance(int64_t{31} * 1'000'000);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(source->Get().ok());
  EXPECT_EQ(asked, 2);
  clock_.Advance(int64_t{31} * 1'000'000);
  EXPECT_TRUE(source->Get().ok());
  EXPECT_EQ(asked, 3);
  clock_.Advance(int64_t{138} * 1'000'000);
  EXPECT_FALSE(source->Get().ok());
}

// The former keys counted as good for ever, and the service was never asked again.
TEST_F(S3CredentialsTest, AnAnswerWhoseTimeCannotBeReadChangesNothing) {
  clock_.SetWallMs(1'000'000'000);  // 1970-01-12T13:46:40Z
  std::string answer = R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T1",
                           "Expiration":"1970-01-12T14:46:40Z"})";
  const auto source = NewS3KeySource(
      Of({{"HOME", folder_},
          {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/keys"}}),
      &clock_, [&](const std::string&, const auto&) -> absl::StatusOr<std::string> {
        return answer;
      });
  EXPECT_EQ(source->Get()->token, "T1");
  clock_.Advance(int64_t{56} * 60 * 1'000'000);
  answer = R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T2","Expiration":"soon"})";
  EXPECT_EQ(source->Get()->token, "T1") << "it still lasts for four minutes";
  clock_.Advance(int64_t{5} * 60 * 1'000'000);
  EXPECT_FALSE(source->Get().ok());
  answer = R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T3"})";
  EXPECT_EQ(source->Get()->token, "T3");
}

TEST_F(S3CredentialsTest, AServiceOfAnotherHostIsNotAskedInTheClear) {
  for (const char* url : {"http://keys.lan/", "http://127.0.0.1.lan/", "http://localhost.lan/",
                          "http://127.0.0.1@keys.lan/", "file:///etc/keys"}) {
    const auto source = NewS3KeySource(
        Of({{"HOME", folder_}, {"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}}), &clock_,
        [](const std::string&, const std::map<std::string, std::string>&)
            -> absl::StatusOr<std::string> { ADD_FAILURE(); return ""; });
    EXPECT_TRUE(absl::IsPermissionDenied(source->Get().status())) << url;
  }
}

TEST(S3SettingsTest, EndpointsAreWhatTheVariablesSay) {
  const auto amazon = S3SettingsFrom(Of({{"AWS_DEFAULT_REGION", "eu-west-1"}}), "bucket");
  EXPECT_EQ(amazon->base, "https://bucket.s3.eu-west-1.amazonaws.com");
  EXPECT_EQ(S3SettingsFrom(Of({}), "my.bucket")->base,
            "https://s3.us-east-1.amazonaws.com/my.bucket");
  const auto own = S3SettingsFrom(Of({{"AWS_ENDPOINT_URL", "http://127.0.0.1:9000/"}}), "b-1");
  EXPECT_EQ(own->base, "http://127.0.0.1:9000/b-1");
  EXPECT_EQ(own->host, "127.0.0.1:9000");
  EXPECT_FALSE(own->exposed);
  EXPECT_TRUE(S3SettingsFrom(Of({{"AWS_ENDPOINT_URL", "http://minio.lan"}}), "b")->exposed);
  EXPECT_FALSE(S3SettingsFrom(Of({{"AWS_ENDPOINT_URL_S3", "https://minio.lan"}}), "b")->exposed);
  for (const char* bad : {"minio.lan", "ftp://x", "http://", "http://a b", "http://user:p@host",
                          "https://host/path", "http://host?x"}) {
    EXPECT_FALSE(S3SettingsFrom(Of({{"AWS_ENDPOINT_URL", bad}}), "b").ok()) << bad;
  }
}

}  // namespace
}  // namespace sluice
