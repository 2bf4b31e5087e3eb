// Makes one file of what several batches staged: idempotent, so that it can be done again after
// any crash.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/plan/graph.h"
#include "driver/job/commands.h"

namespace sluice {

// The bytes of the file, handed to `sink` in pieces: header, the parts of all batches in order,
// footer; or one object file with all their records, however many. `read` gives the whole of one
// part, or not found where none was staged. Data loss: the parts are not as many bytes as were
// staged.
using ReadPart = std::function<absl::StatusOr<std::string>(const std::string& directory,
                                                           const std::string& name)>;
// The one for parts on a path.
absl::StatusOr<std::string> ReadStagedFile(const std::string& directory, const std::string& name);
using ByteSink = std::function<absl::Status(std::string_view bytes)>;
absl::Status GatherRolled(const RollOutput& roll, const Output& output, const ReadPart& read,
                          const ByteSink& sink);

// Puts the file at the command's target, whole or not at all, and syncs it. There already: it was
// made before. Where nothing was staged there is no file. `epoch` keeps the files apart that two
// incarnations of the job driver are making. Data loss: parts are missing, and no file is there.
// Anything else may pass; try again.
absl::Status MakeRolledFile(const RollOutput& roll, const Output& output, uint64_t epoch,
                            const ReadPart& read = ReadStagedFile);

}  // namespace sluice
