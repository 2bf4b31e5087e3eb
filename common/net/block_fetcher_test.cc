// Blocks that come in chunks, twice, spoiled, in part or not at all.
#include "common/net/block_fetcher.h"

#include <gtest/gtest.h>

#include <functional>

#include "common/crc32c.h"
#include "common/net/local_transport.h"

namespace sluice {
namespace {

// A holder of one block, who answers as `answer` says; and the one who fetches it.
class BlockFetcherTest : public testing::Test, public Transport::Handler {
 protected:
  using Answer = std::function<void(proto::FetchedBlock&)>;

  BlockFetcherTest() {
    for (int i = 0; i < 2'500; ++i) bytes_ += static_cast<char>('a' + i % 23);
    block_.mutable_name()->set_number(3);
    block_.set_bytes(bytes_.size());
    block_.set_crc32c(Crc32c(bytes_));
    fetcher_.SetTransport(reader_.get());
  }
  void TearDown() override {  // before the handler, which this is, begins to end
    holder_.reset();
    reader_.reset();
  }
  std::optional<std::string> Fetch(Answer answer = nullptr) {
    answer_ = std::move(answer);
    return fetcher_.Fetch("holder", block_);
  }

  const BlockFetcher::Options options_{
      .answer_us = 50'000, .chunk_bytes = 1'000, .chunks_ahead = 2};
  std::string bytes_;
  proto::BlockInfo block_;
  int asked_ = 0;
  int copies_ = 1;  // of each answer
  BlockFetcher fetcher_{options_};

 private:
  // Both ends: what the reader gets and what the holder is asked for.
  void OnMessage(const std::string& from, proto::Envelope message) override {
    if (message.has_fetched_block()) return fetcher_.OnFetched(message.fetched_block());
    const proto::FetchBlock& ask = message.fetch_block();
    ++asked_;
    proto::Envelope reply;
    proto::FetchedBlock& fetched = *reply.mutable_fetched_block();
    *fetched.mutable_name() = ask.name();
    fetched.set_request(ask.request());
    fetched.set_offset(ask.offset());
    fetched.set_found(true);
    fetched.set_data(bytes_.substr(ask.offset(), ask.length()));
    if (answer_) answer_(fetched);
    for (int i = 0; i < copies_; ++i) holder_->Send(from, reply);
  }
  void OnPeerDown(const std::string& address, bool) override { fetcher_.OnPeerDown(address); }

  Answer answer_;
  EventLoop loop_{EventLoop::Options{.name = "link"}};
  LocalHub hub_;
  std::unique_ptr<Transport> holder_ = hub_.Open("holder", this, &loop_);
  std::unique_ptr<Transport> reader_ = hub_.Open("reader", this, &loop_);
};

TEST_F(BlockFetcherTest, ABlockComesInChunks) {
  EXPECT_EQ(Fetch(), bytes_);
  EXPECT_EQ(asked_, 3);
}

TEST_F(BlockFetcherTest, AHolderThatDoesNotHaveItSaysSo) {
  EXPECT_EQ(Fetch([](proto::FetchedBlock& fetched) { fetched.set_found(false); }), std::nullopt);
}

TEST_F(BlockFetcherTest, OtherBytesAreNotTheBlock) {
  EXPECT_EQ(Fetch([](proto::FetchedBlock& fetched) { (*fetched.mutable_data())[5] ^= 1; }),
            std::nullopt);
}

TEST_F(BlockFetcherTest, AChunkBeyondTheBlockIsNotWritten) {
  EXPECT_EQ(Fetch([](proto::FetchedBlock& fetched) { fetched.set_offset(2'400); }), std::nullopt);
  EXPECT_EQ(Fetch([](proto::FetchedBlock& fetched) { fetched.set_offset(UINT64_MAX - 1); }),
            std::nullopt);
}

TEST_F(BlockFetcherTest, AnAnswerOfAnotherRequestIsNoProgress) {
  EXPECT_EQ(Fetch([](proto::FetchedBlock& fetched) { fetched.set_request(99); }), std::nullopt);
}

TEST_F(BlockFetcherTest, ChunksThatComeTwiceAreNotTakenForOthers) {
  copies_ = 2;
  const auto fetched = Fetch();
  EXPECT_TRUE(!fetched.has_value() || *fetched == bytes_);
}

TEST_F(BlockFetcherTest, AHolderThatIsNotThereFails) {
  EXPECT_EQ(fetcher_.Fetch("nobody", block_), std::nullopt);
}

}  // namespace
}  // namespace sluice
