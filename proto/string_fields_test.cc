// Which fields are `string`, and why they may be: whoever adds one says here that no byte of a
// user, a file system or another program can come into it, or makes it `bytes`. A `string` that is
// no UTF-8 is written without complaint and can never be read.
#include <functional>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/client.pb.h"
#include "proto/log.pb.h"
#include "proto/replay.pb.h"

namespace sluice {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

// A job's name as a client gave it: the daemon takes none but [A-Za-z0-9._-].
const std::set<std::string> kCheckedNames = {
    "BlockRequest.job",     "ExecutorStatus.job", "FindStreamRequest.job", "JobRequest.name",
    "JobSession.job",       "JobSpec.name",       "LogRequest.name",       "ReplayRequest.name",
    "StartExecutor.job",
};
// Names of settings: whoever sets one finds it in the table of common/config.h, or has checked it.
const std::set<std::string> kSettings = {
    "ExecutorInit.ConfEntry.key", "JobSpec.ConfEntry.key", "ReplayCase.ConfEntry.key",
};
// Names of constants: StreamingContext takes printable ASCII only.
const std::set<std::string> kConstants = {
    "ExecutorInit.ConstantsEntry.key", "ProgramSeen.ConstantsEntry.key",
};
// Ids that we make: of workers, runs, nodes, uploads.
const std::set<std::string> kIds = {
    "BlockAdded.holders",           "BlockAnnounce.holders",
    "BlockCopied.worker_id",        "BlockNotRestored.worker_id",
    "BlockRequest.holders",         "ClusterMembers.Member.worker_id",
    "ExecutorHello.worker_id",      "Grant.Member.worker_id",
    "GrantedBatch.Holders.worker_ids", "JobInfo.run",
    "JobRecord.SlotsEntry.key",     "JobRecord.run",
    "KeptBlock.holders",            "LeaderEntry.node",
    "LeaseBeat.worker_id",          "OpenUpload.nonce",
    "ReplicateBlock.target_worker", "SealDone.worker_id",
    "SlowWorker.worker_id",         "WorkerHeartbeat.worker_id",
    "WorkerInfo.id",                "WorkerInventory.worker_id",
    "WorkerRegister.worker_id",     "WorkerRequest.id",
};
// SHA-256 in hexadecimal digits.
const std::set<std::string> kDigests = {
    "BinaryRequest.digest",       "ExecutorInit.binary_digest",   "ExecutorReady.binary_digest",
    "JobSpec.FileHeader.digest",  "JobSpec.binary_digest",        "JobStatus.binaries",
    "LeaderEntry.Binary.digest",  "ProgramSeen.binary_digest",    "StartExecutor.binary_digest",
    "StartExecutor.JobFile.digest", "WorkerRegistered.binaries",
};
// Hosts, and HOST:PORT: a process that cannot be reached under it does not start.
const std::set<std::string> kAddresses = {
    "ClusterMembers.Member.address",  "ClusterMembers.Member.host",
    "DriverLeads.address",            "ExecutorAttach.link_address",
    "ExecutorAttach.push_address",    "ExecutorHello.link_address",
    "ExecutorHello.push_address",     "FindStreamReply.push_address",
    "Grant.Member.address",           "GrantedBatch.Holders.addresses",
    "JobDriverRegister.address",      "JobInfo.host",
    "JobRecord.driver_address",       "JobRecord.host",
    "JobSession.address",             "JobTable.workers",
    "LeaderEntry.address",            "LeaderReply.address",
    "ReceiverPlace.address",          "ReplicateBlock.target_address",
    "StartExecutor.job_driver_address", "WorkerInfo.address",
    "WorkerInfo.host",                "WorkerInventory.LiveReceiver.push_address",
    "WorkerRegister.address",         "WorkerRegister.host",
};
// Words of ours.
const std::set<std::string> kWords = {
    "ExecutorStatus.role",  "JobStatus.state", "StartExecutor.role", "WorkerHeartbeat.drain",
    "WorkerInfo.state",     "WorkerRegister.machine", "JobBegun.key_hash",
};

void Collect(const Descriptor& message, std::set<std::string>* strings) {
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.type() != FieldDescriptor::TYPE_STRING) continue;
    strings->insert(field.full_name().substr(sizeof("sluice.proto.") - 1));
  }
  for (int i = 0; i < message.nested_type_count(); ++i) Collect(*message.nested_type(i), strings);
}

void CollectFile(const FileDescriptor& file, std::set<std::string>* files,
                 std::set<std::string>* strings) {
  if (!files->insert(file.name()).second) return;
  for (int i = 0; i < file.message_type_count(); ++i) Collect(*file.message_type(i), strings);
  for (int i = 0; i < file.dependency_count(); ++i) {
    CollectFile(*file.dependency(i), files, strings);
  }
}

TEST(StringFields, NoneHoldsBytesOfUsers) {
  std::set<std::string> files, strings, allowed;
  for (const Descriptor* message :
       {proto::PushRequest::descriptor(), proto::Entry::descriptor(),
        proto::ReplayCase::descriptor()}) {
    CollectFile(*message->file(), &files, &strings);
  }
  EXPECT_EQ(files.size(), 9u);  // all of this folder
  for (const auto* reason :
       {&kCheckedNames, &kSettings, &kConstants, &kIds, &kDigests, &kAddresses, &kWords}) {
    allowed.insert(reason->begin(), reason->end());
  }
  EXPECT_THAT(strings, testing::ElementsAreArray(allowed));
}

template <class Message>
void ExpectReadBack(const Message& message) {
  Message read;
  ASSERT_TRUE(read.ParseFromString(message.SerializeAsString()));
  EXPECT_EQ(read.SerializeAsString(), message.SerializeAsString());
}

TEST(StringFields, BytesThatAreNoUtf8AreReadBack) {
  const std::string cafe = "caf\xe9";
  proto::Envelope report;
  report.mutable_batch_report()->add_outputs()->add_printed(cafe);
  report.mutable_batch_report()->mutable_failure()->set_cause(cafe);
  ExpectReadBack(report);
  proto::Envelope grant;
  auto& task = *grant.mutable_batch_grant()->add_batches()->add_stages()->add_tasks();
  task.add_pieces()->mutable_file()->set_path(cafe);
  ExpectReadBack(grant);
  proto::Envelope block;
  block.mutable_block_announce()->mutable_block()->add_producers()->set_producer(cafe);
  ExpectReadBack(block);
  proto::Envelope start;
  start.mutable_start_executor()->add_args(cafe);
  ExpectReadBack(start);
  proto::Entry decided;
  decided.mutable_decided()->add_outputs()->add_printed(cafe);
  decided.mutable_decided()->add_letters()->set_error(cafe);
  ExpectReadBack(decided);
  proto::DriverState state;
  state.add_producers()->set_producer(cafe);
  state.add_files()->set_path(cafe);
  ExpectReadBack(state);
  proto::JobSpec spec;
  spec.add_args(cafe);
  (*spec.mutable_conf())["checkpoint"] = cafe;
  ExpectReadBack(spec);
}

}  // namespace
}  // namespace sluice
