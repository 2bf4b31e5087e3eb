// Shows that the packaged libraries link and run together under the project's flags.
#include <cstdlib>
#include <memory>
#include <string>

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <benchmark/benchmark.h>
#include <curl/curl.h>
#include <glog/logging.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <rocksdb/db.h>
#include <zlib.h>

#include "third_party/smoke.grpc.pb.h"

namespace sluice {
namespace {

class EchoService : public smoke::Echo::Service {
  grpc::Status Say(grpc::ServerContext*, const smoke::Ping* request,
                   smoke::Ping* reply) override {
    reply->set_text(absl::StrCat("echo ", request->text()));
    return grpc::Status::OK;
  }
};

TEST(SmokeTest, GrpcAnswers) {
  EchoService service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  auto stub = smoke::Echo::NewStub(grpc::CreateChannel(absl::StrCat("127.0.0.1:", port),
                                                       grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  smoke::Ping request, reply;
  request.set_text("hello");
  grpc::Status status = stub->Say(&context, request, &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.text(), "echo hello");
}

TEST(SmokeTest, RocksDbKeepsAValue) {
  const std::string dir = absl::StrCat(std::getenv("TEST_TMPDIR"), "/db");
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* raw = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, dir, &raw).ok());
  std::unique_ptr<rocksdb::DB> db(raw);
  rocksdb::WriteOptions synced;
  synced.sync = true;
  ASSERT_TRUE(db->Put(synced, "key", "value").ok());
  std::string value;
  ASSERT_TRUE(db->Get(rocksdb::ReadOptions(), "key", &value).ok());
  EXPECT_EQ(value, "value");
}

TEST(SmokeTest, SmallLibrariesLink) {
  LOG(INFO) << "glog is linked";
  absl::flat_hash_map<std::string, int> table = {{"a", 1}};
  EXPECT_THAT(table, testing::SizeIs(1));
  EXPECT_EQ(nlohmann::json({{"a", 1}}).dump(), R"({"a":1})");
  EXPECT_NE(EVP_sha256(), nullptr);
  EXPECT_NE(curl_version(), nullptr);
  EXPECT_NE(zlibVersion(), nullptr);
  int value = 1;
  benchmark::DoNotOptimize(value);
}

}  // namespace
}  // namespace sluice
