// Where and when a process ends that is told to, and that no other does.
#include "common/kill_point.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "common/kill_point_arming.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

class KillPointTest : public testing::Test {
 protected:
  KillPointTest() : note_(testing::TempDir() + "note-" + std::to_string(getpid())) { Clear(); }
  ~KillPointTest() override { Clear(); }

  void Clear() {
    internal::at_kill_point = nullptr;
    for (const char* name : {"CRASH_POINT", "CRASH_PASS", "CRASH_NOTE"}) unsetenv(name);
    std::filesystem::remove(note_);
  }
  absl::Status Arm(const char* point, const char* pass) {
    setenv("CRASH_POINT", point, 1);
    setenv("CRASH_PASS", pass, 1);
    setenv("CRASH_NOTE", note_.c_str(), 1);
    return ArmKillPointByEnvironment();
  }

  const std::string note_;
};

TEST_F(KillPointTest, EveryPlaceHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int i = 0; i < static_cast<int>(KillPoint::kCount); ++i) {
    const std::string_view name = NameOf(static_cast<KillPoint>(i));
    EXPECT_FALSE(name.empty()) << i;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

TEST_F(KillPointTest, WithoutItsEnvironmentNothingIsArmed) {
  ASSERT_TRUE(ArmKillPointByEnvironment().ok());
  EXPECT_FALSE(KillPointsArmed());
  for (int i = 0; i < static_cast<int>(KillPoint::kCount); ++i) Pass(static_cast<KillPoint>(i));
}

TEST_F(KillPointTest, TheProcessEndsAtItsPlaceWhenItIsPassedForTheNthTime) {
  const auto pass = [&](int times) {
    ASSERT_TRUE(Arm("decided logged", "3").ok());
    ASSERT_TRUE(KillPointsArmed());
    for (int i = 0; i < times; ++i) Pass(KillPoint::kDecidedLogged);
    for (int i = 0; i < 10; ++i) Pass(KillPoint::kPlanLogged);  // another place
    _exit(9);
  };
  EXPECT_EXIT(pass(2), testing::ExitedWithCode(9), "");
  EXPECT_FALSE(std::filesystem::exists(note_));
  EXPECT_EXIT(pass(3), testing::KilledBySignal(SIGKILL), "");
  EXPECT_TRUE(std::filesystem::exists(note_));
}

TEST_F(KillPointTest, AnUnknownNameIsRefusedInOneLine) {
  const absl::Status refused = Arm("lunch", "1");
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_EQ(refused.message(),
            "CRASH_POINT: no place is named \"lunch\"; common/kill_point.cc has the names");
  EXPECT_FALSE(KillPointsArmed());
}

TEST_F(KillPointTest, APassThatIsNoNumberFromOneOnIsRefused) {
  for (const char* pass : {"", "0", "-1", "1x", "99999999999"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Arm("plan logged", pass))) << pass;
    EXPECT_FALSE(KillPointsArmed()) << pass;
  }
}

}  // namespace
}  // namespace sluice
