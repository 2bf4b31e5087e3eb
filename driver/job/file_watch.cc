#include "driver/job/file_watch.h"

#include "absl/strings/str_cat.h"

namespace sluice {

void FileWatch::OnListed(const SourcesListed& listed, std::vector<DriverCommand>& out) {
  for (const auto& [node, files] : listed.files) {
    const auto error = listed.errors.find(node);
    const std::string problem = error == listed.errors.end() ? "" : error->second;
    if (problem != problems_[node]) {
      out.push_back(problem.empty()
                        ? Say{Say::Level::kInfo, absl::StrCat(plan_.graph().node(node).label,
                                                              ": the directory is listed again")}
                        : Say{Say::Level::kWarning, problem});
      problems_[node] = problem;
    }
    const StageId stage = plan_.source_stage(node);
    if (problem.empty()) {
      Compare(stage, files, out);
    } else {  // nobody knows what is there
      std::erase_if(gone_, [&](const auto& gone) { return gone.first.first == stage; });
    }
  }
}

void FileWatch::Compare(StageId stage, const std::vector<ListedFile>& files,
                        std::vector<DriverCommand>& out) {
  auto listed = files.begin();
  const auto& taken = state_->files();
  for (auto it = taken.lower_bound({stage, ""}); it != taken.end() && it->first.first == stage;
       ++it) {
    const auto& [key, file] = *it;
    while (listed != files.end() && listed->path < key.second) ++listed;
    if (listed == files.end() || listed->path != key.second) {
      gone_.try_emplace(key, 0);
      continue;
    }
    gone_.erase(key);
    if (listed->size == file.size() && listed->modified_ns == file.modified_ns()) continue;
    if (!changed_.insert(key).second) continue;
    ++changed_files_;
    out.push_back(Say{Say::Level::kWarning,
                      absl::StrCat("a file has changed after it was taken and is not read again: ",
                                   key.second)});
  }
}

std::vector<proto::TakenFile> FileWatch::OnSealed() {
  std::vector<proto::TakenFile> forgotten;
  for (auto it = gone_.begin(); it != gone_.end();) {
    if (++it->second < kSealsUntilForgotten) {
      ++it;
      continue;
    }
    const proto::TakenFile* file = state_->TakenFileAt(it->first.first, it->first.second);
    if (file != nullptr) forgotten.push_back(*file);
    changed_.erase(it->first);
    it = gone_.erase(it);
  }
  return forgotten;
}

std::string FileWatch::problem() const {
  for (const auto& [node, problem] : problems_) {
    if (!problem.empty()) return problem;
  }
  return "";
}

}  // namespace sluice
