// What a long run of seeds has done, kept in a file so that the run can be ended and taken up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/sim/seeds.h"

namespace sluice::sim {

struct Progress {
  uint64_t build = 0;  // of the program that ran them: another one would have lived other lives
  uint64_t first = 0;  // seed
  uint64_t next = 0;   // not yet run
  SeedsResult result;
};

// A checksum of this program's own file.
uint64_t ThisBuild();

// As text, one fact a line; the file is replaced as a whole. False: it could not be written.
bool KeepProgress(const std::string& path, const Progress& progress);

// None where there is no such file. What cannot be read leaves `error` set.
std::optional<Progress> FindProgress(const std::string& path, std::string* error);

}  // namespace sluice::sim
