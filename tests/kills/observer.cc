#include "tests/kills/observer.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>

#include "common/status.h"

namespace sluice::kills {
namespace {

namespace fs = std::filesystem;

// A writer that starts anew can spoil several looks in a row.
constexpr int kTriesMax = 1000;

// The outputs that source stages write.
std::set<uint32_t> OutputsOfMaps(const LineageGraph& graph) {
  const StagePlan plan(graph, 1);
  std::set<uint32_t> outputs;
  for (const OutputPiece& piece : plan.output_pieces()) {
    const StageId stage = plan.fragments()[piece.from].stage;
    if (plan.stages()[stage].is_source) outputs.insert(piece.output);
  }
  return outputs;
}

}  // namespace

Observer::Observer(ObserverPlaces places, const LineageGraph& graph)
    : places_(std::move(places)),
      graph_(graph),
      follower_(places_.checkpoint, places_.scratch) {
  sight_.of_maps = OutputsOfMaps(graph);
}

absl::Status Observer::Look() {
  absl::Status read = log_.CatchUp(follower_);
  for (int i = 0; i < kTriesMax && absl::IsUnavailable(read); ++i) read = log_.CatchUp(follower_);
  RETURN_IF_ERROR(read);
  ReadAnnouncements();
  LookForStaged();
  LookForParts();
  return absl::OkStatus();
}

// "... generation G of epoch E: N executors, ..." in the output of the job driver's incarnations.
void Observer::ReadAnnouncements() {
  std::error_code ignored;
  for (const auto& run : fs::directory_iterator(places_.runs, ignored)) {
    const fs::path path = run.path() / "output";
    if (fs::file_size(path, ignored) < read_) read_ = 0;  // a new file: the old one grew too large
    std::ifstream file(path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(read_));
    for (char c; file.get(c); ++read_) {
      line_.push_back(c);
      if (c != '\n') continue;
      const size_t at = line_.find("generation ");
      unsigned long long number = 0, epoch = 0, members = 0;
      if (at != std::string::npos &&
          std::sscanf(line_.c_str() + at, "generation %llu of epoch %llu: %llu executors", &number,
                      &epoch, &members) == 3 &&
          GenerationKey{epoch, number} > sight_.granted) {
        sight_.granted = {epoch, number};
        sight_.members = members;
      }
      line_.clear();
    }
  }
}

void Observer::LookForStaged() {
  sight_.staged.clear();
  const int64_t batch_ms = FirstUndecided(log_);
  if (batch_ms == 0) return;
  for (const Output& output : graph_.outputs()) {
    char name[128];
    std::snprintf(name, sizeof(name), "/.sluice-%016llx-%lld-%u-e%llug%llu",
                  static_cast<unsigned long long>(log_.job.job_instance()),
                  static_cast<long long>(batch_ms), output.id,
                  static_cast<unsigned long long>(sight_.granted.first),
                  static_cast<unsigned long long>(sight_.granted.second));
    const std::string path = fs::path(output.prefix).parent_path().string() + name;
    if (access(path.c_str(), F_OK) == 0) sight_.staged.insert(output.id);
  }
}

// "part-<job>-<batch>-e<epoch>g<generation>x<executor>"
void Observer::LookForParts() {
  sight_.newest_part_ms = 0;
  std::error_code ignored;
  for (const auto& object : fs::directory_iterator(places_.checkpoint + "/objects", ignored)) {
    const std::string name = object.path().filename();
    long long batch_ms = 0;
    unsigned long long epoch = 0, number = 0;
    if (std::sscanf(name.c_str(), "part-%*[0-9a-f]-%lld-e%llug%llux", &batch_ms, &epoch,
                    &number) == 3 &&
        GenerationKey{epoch, number} == sight_.granted) {
      sight_.newest_part_ms = std::max<int64_t>(sight_.newest_part_ms, batch_ms);
    }
  }
}

}  // namespace sluice::kills
