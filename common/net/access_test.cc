#include "common/net/access.h"

#include <set>
#include <string>

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "proto/client.pb.h"

namespace sluice {
namespace {

// Every file with services, through one message of each.
std::set<std::string> AllMethods() {
  std::set<std::string> methods;
  for (const auto* file : {proto::PushRequest::descriptor()->file(),
                           proto::Envelope::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      const auto* service = file->service(s);
      for (int m = 0; m < service->method_count(); ++m) {
        methods.insert("/" + service->full_name() + "/" + service->method(m)->name());
      }
    }
  }
  return methods;
}

TEST(AccessTest, EveryMethodHasAnEntryAndEveryEntryAMethod) {
  std::set<std::string> listed;
  for (const MethodAccess& method : MethodTable()) {
    EXPECT_NE(method.callers, 0u) << method.path;
    EXPECT_TRUE(listed.insert(std::string(method.path)).second) << method.path;
  }
  EXPECT_EQ(listed, AllMethods());
  EXPECT_GT(listed.size(), 10u);
}

TEST(AccessTest, AJobsTokenDoesNotReachTheDriversService) {
  const Caller job{kJob, "wc"};
  for (const MethodAccess& method : MethodTable()) {
    if (method.path.find("Driver/") == method.path.npos) continue;
    EXPECT_EQ(CheckAccess(method.path, job).code(), absl::StatusCode::kPermissionDenied);
  }
  EXPECT_TRUE(CheckAccess("/sluice.proto.Link/Open", job).ok());
}

TEST(AccessTest, AnUnknownMethodIsRefusedToEverybody) {
  const Caller all{kClient | kWorker | kJob, ""};
  EXPECT_EQ(CheckAccess("/sluice.proto.Driver/Nothing", all).code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CheckAccess("", all).code(), absl::StatusCode::kPermissionDenied);
}

// Who adds a message decides here, too, whether a job may send it.
TEST(AccessTest, EveryMessageOfTheEnvelopeWasDecidedUpon) {
  const auto* oneof = proto::Envelope::descriptor()->oneof_decl(0);
  int allowed = 0;
  for (int i = 0; i < oneof->field_count(); ++i) {
    const int number = oneof->field(i)->number();
    allowed += JobMaySend(static_cast<proto::Envelope::MessageCase>(number));
  }
  EXPECT_EQ(oneof->field_count(), 51);
  EXPECT_EQ(allowed, 34);
  EXPECT_FALSE(JobMaySend(proto::Envelope::kWorkerRegister));
  EXPECT_FALSE(JobMaySend(proto::Envelope::kBlockCopy));
  EXPECT_TRUE(JobMaySend(proto::Envelope::kShareBundle));
}

TEST(AccessTest, AJobNamesItselfOnly) {
  proto::Envelope status, registered, session, start;
  status.mutable_job_status()->set_job("wc");
  registered.mutable_job_driver_register()->set_job("wc");
  session.mutable_job_session()->set_job("wc");
  start.mutable_start_executor()->set_job("wc");
  for (const auto* message : {&status, &registered, &session, &start}) {
    EXPECT_TRUE(JobMaySend(*message, "wc"));
    EXPECT_FALSE(JobMaySend(*message, "other"));
  }
  proto::Envelope beat, join;
  beat.mutable_executor_beat();
  join.mutable_worker_register();
  EXPECT_TRUE(JobMaySend(beat, "other"));
  EXPECT_FALSE(JobMaySend(join, "other"));
}

}  // namespace
}  // namespace sluice
