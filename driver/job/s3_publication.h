// Makes decided output in a bucket visible: idempotent, so that it can be done again after any
// crash.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "checkpoint/output_buckets.h"
#include "common/plan/graph.h"
#include "driver/job/commands.h"
#include "driver/job/publication.h"

namespace sluice {

// Completes the uploads of a batch, in order, and puts `_SUCCESS` last. With `overwrite` all that
// another job left of the batch goes before the first of its objects is replaced. AlreadyExists: an
// object is another job's and `overwrite` is off. DataLoss: an upload is gone, and its object not
// there. Anything else may pass; try again.
absl::Status PublishUploads(OutputBuckets* buckets, const PublishOutput& publish, bool overwrite);

// As MakeRolledFile (rolled_files.h). The bytes go through this process.
absl::Status MakeRolledObject(OutputBuckets* buckets, const RollOutput& roll,
                              const Output& output);

// As SweepStaged (publication.h), of objects and of uploads that were never decided. Two outputs of
// a job must differ in prefix or suffix. Where another job has uploads of the same they are not to
// be told apart, and all stay.
absl::Status SweepStagedObjects(OutputBuckets* buckets, const StagedOf& staged, int64_t batch_ms);
absl::Status AbortUndecidedUploads(OutputBuckets* buckets, const StagedOf& staged,
                                   int64_t batch_ms);

}  // namespace sluice
