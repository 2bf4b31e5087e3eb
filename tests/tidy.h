// The house rules that a machine can check: sizes, words, and who includes whom.
#pragma once

#include <string>
#include <vector>

namespace sluice::tidy {

struct SourceFile {
  std::string path;                // from the top of the repository: "common/status.h"
  std::vector<std::string> lines;  // without line ends
};

// All source and text files under `root`, hidden and generated folders left out.
std::vector<SourceFile> ReadTree(const std::string& root);

// Each check gives one complaint per finding, "path:line: what is wrong; what to do instead".
using Complaints = std::vector<std::string>;

Complaints CheckFileSizes(const std::vector<SourceFile>& files);
Complaints CheckLines(const std::vector<SourceFile>& files);
Complaints CheckBannedWords(const std::vector<SourceFile>& files);
Complaints CheckMachinePaths(const std::vector<SourceFile>& files, const std::string& root);

// Which folder may include which (the first table of the design's section on layers).
Complaints CheckFolderLaws(const std::vector<SourceFile>& files);
// Nothing reachable from sluice/sluice.h includes gRPC, Protobuf, Abseil, RocksDB or glog.
Complaints CheckPublicHeaders(const std::vector<SourceFile>& files);
// gRPC, RocksDB, libcurl, OpenSSL and the HTTP library: one folder each. No Abseil in driver/api.
Complaints CheckLibraryPlaces(const std::vector<SourceFile>& files);
// Files of a core (named *_core.h or *_core.cc) include no thread, clock, file or random header.
Complaints CheckCoresArePure(const std::vector<SourceFile>& files);

}  // namespace sluice::tidy
