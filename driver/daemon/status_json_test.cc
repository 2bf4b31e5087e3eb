#include "driver/daemon/status_json.h"

#include <nlohmann/json.hpp>

#include "gtest/gtest.h"

namespace sluice::daemon {
namespace {

TEST(StatusJson, BytesThatAreNoUtf8AreReplaced) {
  proto::JobInfo job;
  job.mutable_status()->set_failure("caf\xe9");
  EXPECT_EQ(nlohmann::json::parse(JobJson(job))["failure"], "caf\xef\xbf\xbd");
  proto::Letter letter;
  letter.set_error("caf\xe9");
  letter.set_source("/in/\xe9 bytes 0 to 9");
  const auto read = nlohmann::json::parse(LetterJson(letter));
  EXPECT_EQ(read["error"], "caf\xef\xbf\xbd");
  EXPECT_EQ(read["from"], "/in/\xef\xbf\xbd bytes 0 to 9");
}

}  // namespace
}  // namespace sluice::daemon
