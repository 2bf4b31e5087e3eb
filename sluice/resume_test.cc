// What a job is taken up with, or refused for, before anything of it runs.
#include "common/exit_code.h"
#include "common/key_hash.h"
#include "common/plan/graph.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/driver_role.h"

namespace sluice {
namespace {

using testing::HasSubstr;

RecoveredJob JobOf(const std::string& key_hash) {
  proto::Entry begun;
  auto& job = *begun.mutable_job_begun();
  job.set_job_instance(1);
  job.set_batch_interval_ms(1000);
  job.set_partitions(4);
  job.set_key_groups(1024);
  job.set_key_hash(key_hash);
  RecoveredJob recovered;
  EXPECT_TRUE(recovered.state.Apply(begun).ok());
  return recovered;
}

// State would be looked for where it is not.
TEST(ResumeTest, StateThatWasPlacedByAnotherHashOfKeysIsNotTakenUp) {
  const LineageGraph graph;
  EXPECT_TRUE(CheckResume(JobOf(std::string(kKeyHashName)), Config(), graph).refused.ok());
  const ExitStatus refused = CheckResume(JobOf("fold64-1"), Config(), graph).refused;
  EXPECT_EQ(refused.code, kExitRefused);
  EXPECT_THAT(refused.message, HasSubstr("fold64-1"));
}

}  // namespace
}  // namespace sluice
