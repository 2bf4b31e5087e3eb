// What clients and workers may ask of the driver daemon, as a gRPC service. Internal to the daemon.
#pragma once

#include "proto/client.grpc.pb.h"

namespace sluice::daemon {

class DriverDaemon;

// Of the job's checkpoint store.
std::string StoreUrlOf(const DriverDaemon& daemon, const proto::JobInfo& job);
// For calls that only the leading driver answers: who that is, if it is known.
grpc::Status Away(const DriverDaemon& daemon, const std::string& why = "");
// OK, unless the daemon could not answer the call.
grpc::Status Answered(const DriverDaemon& daemon, const proto::Outcome& outcome);

// Thread-safe. Calls that stay end when the daemon ends or their client goes.
class DriverService : public proto::Driver::Service {
 public:
  explicit DriverService(DriverDaemon* daemon) : daemon_(daemon) {}

  grpc::Status Leader(grpc::ServerContext* context, const proto::ListRequest* request,
                      proto::LeaderReply* reply) override;
  grpc::Status Submit(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<proto::SubmitReply, proto::SubmitChunk>* stream) override;
  grpc::Status WatchJob(grpc::ServerContext* context, const proto::JobRequest* request,
                        grpc::ServerWriter<proto::JobReply>* writer) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const proto::ListRequest* request,
                        proto::JobList* reply) override;
  grpc::Status JobStatusOf(grpc::ServerContext* context, const proto::JobRequest* request,
                           proto::JobReply* reply) override;
  grpc::Status DrainJob(grpc::ServerContext* context, const proto::JobRequest* request,
                        proto::JobReply* reply) override;
  grpc::Status CancelJob(grpc::ServerContext* context, const proto::JobRequest* request,
                         proto::JobReply* reply) override;
  grpc::Status AcceptLossOf(grpc::ServerContext* context, const proto::JobRequest* request,
                            proto::JobReply* reply) override;
  grpc::Status JobCheckpoints(grpc::ServerContext* context, const proto::JobRequest* request,
                              proto::CheckpointList* reply) override;
  grpc::Status JobLetters(grpc::ServerContext* context, const proto::LettersRequest* request,
                          grpc::ServerWriter<proto::LetterReply>* writer) override;
  grpc::Status ReplayLettersOf(grpc::ServerContext* context, const proto::ReplayRequest* request,
                               proto::JobReply* reply) override;
  grpc::Status ReadBlock(grpc::ServerContext* context, const proto::BlockRequest* request,
                         grpc::ServerWriter<proto::BlockChunk>* writer) override;
  grpc::Status DrainWorkerOf(grpc::ServerContext* context, const proto::WorkerRequest* request,
                             proto::JobReply* reply) override;
  grpc::Status JobLogs(grpc::ServerContext* context, const proto::LogRequest* request,
                       grpc::ServerWriter<proto::LogChunk>* writer) override;
  grpc::Status ListWorkers(grpc::ServerContext* context, const proto::ListRequest* request,
                           proto::WorkerList* reply) override;
  grpc::Status FetchBinary(grpc::ServerContext* context, const proto::BinaryRequest* request,
                           grpc::ServerWriter<proto::BinaryChunk>* writer) override;
  grpc::Status FindStream(grpc::ServerContext* context, const proto::FindStreamRequest* request,
                          proto::FindStreamReply* reply) override;

 private:
  DriverDaemon* const daemon_;
};

}  // namespace sluice::daemon
