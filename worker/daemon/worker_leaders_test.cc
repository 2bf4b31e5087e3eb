// Who may speak for a job in the worker core: words name its instance, which others may know.
#include "worker/daemon/worker_core_fixture.h"

namespace sluice::core_test {
namespace {

class LeadersTest : public WorkerCoreTest {
 protected:
  LeadersTest() {
    Session(1, kThree);
    RunExecutor(1, "receivers");
    Seal(1, 1);
    Done();
  }
  Words Release(const std::string& from) {
    Receive(from, [](proto::Envelope& e) {
      e.mutable_release_blocks()->set_job_instance(kJob);
      e.mutable_release_blocks()->set_epoch(1);
      *e.mutable_release_blocks()->add_names() = NameOf(Key(1));
    });
    return Done();
  }
  Words End(const std::string& from) {
    Receive(from, [](proto::Envelope& e) {
      e.mutable_job_ended()->set_job_instance(kJob);
      e.mutable_job_ended()->set_epoch(9);
    });
    return Done();
  }
  Words Restore(const std::string& from) {
    Receive(from, [](proto::Envelope& e) {
      *e.mutable_restore_block()->mutable_block()->mutable_name() = NameOf(Key(2));
      e.mutable_restore_block()->mutable_block()->set_in_store(true);
      e.mutable_restore_block()->set_store("store");
      e.mutable_restore_block()->set_epoch(1);
    });
    return Done();
  }
  // A job of another name says that it leads this instance.
  Words Lead(const std::string& name, uint64_t epoch) {
    Receive("other:1", [&](proto::Envelope& e) {
      e.mutable_job_session()->set_job(name);
      e.mutable_job_session()->set_job_instance(kJob);
      e.mutable_job_session()->set_epoch(epoch);
      e.mutable_job_session()->set_address("other:1");
    });
    return Done();
  }
  static std::string First(const Words& words) { return words.empty() ? "" : words.front(); }
};

TEST_F(LeadersTest, AnotherJobsDriverNeitherReleasesNorRestoresNorEndsAnything) {
  EXPECT_EQ(Release("other:1"), Words{});
  EXPECT_EQ(Restore("other:1"), Words{});
  EXPECT_EQ(End("other:1"), Words{});
  EXPECT_EQ(Restore("jd:1"), Words{"read 2 from store"});
  EXPECT_EQ(First(Release("jd:1")), "drop 1");
  EXPECT_EQ(End("jd:1"), (Words{"kill 1", "drop job"}));
}

TEST_F(LeadersTest, APeerOfTheJobMayRelease) {
  EXPECT_EQ(First(Release("w3:1")), "drop 1");
}

TEST_F(LeadersTest, AnInstanceGoesOnUnderAnotherNameWhenItsDriverIsSilent) {
  EXPECT_EQ(Lead("stranger", 2), Words{});
  After(600);
  After(600);
  Done();
  EXPECT_EQ(First(Lead("heir", 2)), "inventory of 1 epoch 2 to other:1");
}

TEST_F(LeadersTest, AnInstanceGoesOnUnderAnotherNameWhenTheProcessOfItsDriverHasEnded) {
  Step(worker::PeerDown{"jd:1", /*refused=*/false});
  EXPECT_EQ(Lead("stranger", 2), Words{});
  Step(worker::PeerDown{"jd:1", /*refused=*/true});
  Done();
  EXPECT_EQ(First(Lead("heir", 2)), "inventory of 1 epoch 2 to other:1");
}

TEST_F(LeadersTest, AnInstanceGoesOnUnderAnotherNameWhenItsDriverHasEndedIt) {
  End("jd:1");
  EXPECT_EQ(First(Lead("heir", 10)), "inventory of 0 epoch 10 to other:1");
}

}  // namespace
}  // namespace sluice::core_test
