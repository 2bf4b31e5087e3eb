// What a file stream finds in its directory.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "common/plan/graph.h"
#include "driver/job/commands.h"

namespace sluice {

// Modification times: a file from before the first is old, and one from after the second is still
// settling. Of the old ones those are listed whose inode has changed since: one that was taken may
// be among them, its time set back, and has not left.
struct ListRules {
  int64_t from_ns = std::numeric_limits<int64_t>::min();
  int64_t to_ns = std::numeric_limits<int64_t>::max();
};

struct Listing {
  std::vector<ListedFile> files;  // in order of path
  std::string error;              // not empty: the directory cannot be listed, or not as a whole
};

// The regular files of the source's directory. Names that begin with a dot are not finished yet.
// Of object files also those in directories beside them that hold `_SUCCESS`: whole batches.
Listing ListDirectory(const SourceSpec& source, const ListRules& rules);

}  // namespace sluice
