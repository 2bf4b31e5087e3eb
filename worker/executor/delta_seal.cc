#include "worker/executor/delta_seal.h"

#include "common/encoded_batch.h"
#include "common/record_batch.h"

namespace sluice {

proto::Envelope MessageOf(const SealDelta& seal) {
  proto::Envelope message;
  auto& slice = *message.mutable_seal_slices()->add_slices();
  *slice.mutable_block()->mutable_name() = seal.name;
  slice.mutable_block()->set_records(seal.pieces->size());
  slice.mutable_block()->set_reliable(true);  // it is worth nothing once its executor has died
  *slice.mutable_block()->mutable_partitions() = {seal.partitions.begin(), seal.partitions.end()};
  slice.set_arena_offset(seal.name.number());
  RecordBatch batch;
  for (const std::string& piece : *seal.pieces) batch.Append(piece);
  EncodeBatch(batch.view(), *slice.mutable_inlined());
  return message;
}

}  // namespace sluice
