// What the log says of received blocks, their receivers and their producers.
#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "driver/job/job_state.h"

namespace sluice {

BlockId BlockIdOf(const proto::BlockName& name) {
  return {name.stream(), name.incarnation(), name.number()};
}

proto::BlockName NameOf(uint64_t job_instance, const BlockId& key) {
  proto::BlockName name;
  name.set_job_instance(job_instance);
  name.set_stream(key.stream);
  name.set_incarnation(key.incarnation);
  name.set_number(key.number);
  return name;
}

std::string ToString(const BlockId& key) {
  char text[96];
  std::snprintf(text, sizeof(text), "stream %u, receiver %016" PRIx64 ", block %" PRIu64,
                key.stream, key.incarnation, key.number);
  return text;
}

void JobState::KeepBlocks(proto::DriverState& kept) const {
  const auto keep = [&](const LoggedBlock& block) {
    auto* b = kept.add_blocks();
    *b->mutable_block() = block.info;
    b->mutable_holders()->Add(block.holders.begin(), block.holders.end());
    b->set_batch_ms(block.batch_ms);
    b->set_lost(block.lost);
  };
  for (const BlockId& key : waiting_) keep(blocks_.at(key));
  for (const auto& [key, block] : blocks_) {
    if (block.batch_ms != 0) keep(block);
  }
}

bool JobState::ProducersFollow(const proto::BlockInfo& block) const {
  std::map<std::string, int64_t> seen;
  for (const auto& range : block.producers()) {
    const auto it = seen.find(range.producer());
    const int64_t last = it != seen.end()
                             ? it->second
                             : LastOfProducer(block.name().stream(), range.producer());
    if (range.first() != last + 1 || range.last() < range.first()) return false;
    seen[range.producer()] = range.last();
  }
  return true;
}

int64_t JobState::LastOfProducer(uint32_t stream, const std::string& producer) const {
  const auto of_stream = producers_.find(stream);
  if (of_stream == producers_.end()) return 0;
  const auto it = of_stream->second.find(producer);
  return it == of_stream->second.end() ? 0 : it->second.last;
}

size_t JobState::ProducersOf(uint32_t stream) const {
  const auto it = producers_.find(stream);
  return it == producers_.end() ? 0 : it->second.size();
}

// Of records that are not decided yet the next driver may have to say where they end.
std::vector<std::pair<uint32_t, std::string>> JobState::QuietProducers(
    const proto::ProducersForgotten& quiet) const {
  std::vector<std::pair<uint32_t, std::string>> found;
  for (const uint32_t stream : quiet.streams()) {
    const auto of_stream = producers_.find(stream);
    if (of_stream == producers_.end()) continue;
    for (const auto& [name, producer] : of_stream->second) {
      if (producer.heard_ms <= quiet.heard_ms()) found.emplace_back(stream, name);
    }
  }
  if (found.empty()) return found;
  std::set<std::pair<uint32_t, std::string>> undecided;
  for (const auto& [key, block] : blocks_) {
    if (block.batch_ms != 0 && block.batch_ms <= last_decided_ms_) continue;
    for (const auto& range : block.info.producers()) {
      undecided.emplace(key.stream, range.producer());
    }
  }
  std::erase_if(found, [&](const auto& producer) { return undecided.contains(producer); });
  return found;
}

void JobState::ForgetProducers(const proto::ProducersForgotten& quiet) {
  for (const auto& [stream, name] : QuietProducers(quiet)) producers_[stream].erase(name);
}

uint64_t JobState::LastNumber(uint32_t stream, uint64_t incarnation) const {
  const auto it = incarnations_.find({stream, incarnation});
  return it == incarnations_.end() ? 0 : it->second.number;
}

bool JobState::Forgotten(uint32_t stream, uint64_t incarnation) const {
  const auto it = incarnations_.find({stream, incarnation});
  return it != incarnations_.end() && it->second.forgotten;
}

uint64_t JobState::RecordsLogged(uint32_t stream, uint64_t incarnation) const {
  const auto it = incarnations_.find({stream, incarnation});
  return it == incarnations_.end() ? 0 : it->second.records;
}

uint64_t JobState::lost_records() const {
  uint64_t lost = accepted_losses_;
  for (const auto& [key, incarnation] : incarnations_) {
    lost += incarnation.taken - std::min(incarnation.taken, incarnation.records);
  }
  return lost;
}

LoggedBlock* JobState::FindBlock(const BlockId& key) {
  const auto it = blocks_.find(key);
  return it == blocks_.end() ? nullptr : &it->second;
}

std::vector<BlockId> JobState::TakeCoveredBlocks() {
  std::vector<BlockId> covered;
  for (auto it = blocks_.begin(); it != blocks_.end();) {
    if (it->second.batch_ms != 0 && it->second.batch_ms <= sealed_ms_) {
      covered.push_back(it->first);
      it = blocks_.erase(it);
    } else {
      ++it;
    }
  }
  return covered;
}

}  // namespace sluice
