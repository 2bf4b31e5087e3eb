// Where a RocksDB's write-ahead log is damaged: RocksDB says that it is, but neither the file nor
// the offset.
#pragma once

#include <string>

namespace sluice::internal {

// "/dir/log/000004.log, offset 123" of the first record that does not check in the files of
// `directory` whose names end in ".log"; empty when all do.
std::string FindWalDamage(const std::string& directory);

}  // namespace sluice::internal
