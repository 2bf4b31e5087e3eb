#include "worker/daemon/data_plane.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/record_batch.h"
#include "worker/daemon/block_names.h"

namespace sluice {
namespace {

const BlockKey kKey{.job_instance = 7, .incarnation = 1, .number = 1};

// Block kKey, in memory. Peers are not there: what they are sent is kept.
class DataPlaneTest : public testing::Test {
 protected:
  struct Sent : Transport {
    void Send(const std::string&, proto::Envelope message) override {
      messages.push_back(std::move(message));
    }
    const std::string& address() const override { return own; }
    std::string own = "worker:1";
    std::vector<proto::Envelope> messages;
  };

  DataPlaneTest() {
    RecordBatch batch;
    batch.Append(std::string(1000, 'r'));
    EXPECT_TRUE(store_->Seal(kKey, batch.view()).ok());
  }
  // Memory that lost a bit.
  void Damage() {
    const auto reading = store_->Read(kKey);
    const_cast<char*>(reading->bytes().data())[500] ^= 1;
  }
  // Whether a piece of it was sent.
  bool Fetched() {
    proto::Envelope fetch;
    *fetch.mutable_fetch_block()->mutable_name() = NameOf(kKey);
    fetch.mutable_fetch_block()->set_length(100);
    EXPECT_TRUE(data_.Handle("ex:1", fetch));
    return sent_.messages.back().fetched_block().found();
  }
  void NotTaken() {
    proto::Envelope answer;
    *answer.mutable_block_copied()->mutable_name() = NameOf(kKey);
    EXPECT_FALSE(data_.Handle("w2:1", answer)) << "the core is to hear of it, too";
  }
  bool SaidToBeDamaged() const {
    return !posted_.empty() && std::get<worker::CopyUnreadable>(posted_.back()).damaged;
  }

  std::unique_ptr<BlockStore> store_ = *BlockStore::Open({.shared = false});
  Sent sent_;
  std::vector<worker::Event> posted_;
  const DataPlane::Emit post_ = [this](worker::Event event) { posted_.push_back(event); };
  DataPlane data_{store_.get(), &sent_, post_, post_, nullptr};
};

// Its readers asked for it again and again.
TEST_F(DataPlaneTest, WhatIsDamagedInMemoryIsNotSentToWhoeverFetchesIt) {
  EXPECT_TRUE(Fetched());
  EXPECT_FALSE(SaidToBeDamaged());
  Damage();
  EXPECT_FALSE(Fetched());
  EXPECT_TRUE(SaidToBeDamaged());
}

TEST_F(DataPlaneTest, WhatAPeerDidNotTakeIsLookedThrough) {
  NotTaken();
  EXPECT_FALSE(SaidToBeDamaged());
  Damage();
  NotTaken();
  EXPECT_TRUE(SaidToBeDamaged());
}

}  // namespace
}  // namespace sluice
