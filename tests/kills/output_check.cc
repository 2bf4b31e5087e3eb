#include "tests/kills/output_check.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace sluice::kills {
namespace {

namespace fs = std::filesystem;

std::string PartName(size_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "part-%05zu", number);
  return name;
}

std::string TargetOf(const Output& output, int64_t batch_ms) {
  const std::string suffix = output.suffix.empty() ? "" : "." + output.suffix;
  return output.prefix + "-" + std::to_string(batch_ms) + suffix;
}

}  // namespace

void OutputCheck::Batch(int64_t batch_ms,
                        const std::vector<ReferenceInterpreter::OutputResult>& results) {
  for (const Output& output : graph_.outputs()) {
    if (output.kind != OutputKind::kTextFiles || !results[output.id].has_dataset) continue;
    const std::string path = TargetOf(output, batch_ms);
    expected_.insert(path);
    if (fs::is_directory(path)) Directory(path, results[output.id]);
    else complaints_.push_back(path + " is missing");
  }
}

void OutputCheck::Directory(const std::string& path,
                            const ReferenceInterpreter::OutputResult& result) {
  std::set<std::string> files;
  for (const auto& entry : fs::directory_iterator(path)) files.insert(entry.path().filename());
  if (files.erase("_SUCCESS") == 0) complaints_.push_back(path + " has no _SUCCESS");
  for (size_t i = 0; i < result.parts.size(); ++i) {
    const std::string name = PartName(i);
    if (files.erase(name) == 0) complaints_.push_back(path + "/" + name + " is missing");
    else Part(path + "/" + name, result.parts[i]);
  }
  for (const std::string& name : files) complaints_.push_back(path + "/" + name + " is too much");
}

void OutputCheck::Part(const std::string& path, const std::vector<std::string>& lines) {
  std::string want;
  for (const std::string& line : lines) want += line + "\n";
  std::ifstream file(path, std::ios::binary);
  const std::string got(std::istreambuf_iterator<char>(file), {});
  ++parts_;
  bytes_ += got.size();
  if (got == want) return;
  const auto differ = std::mismatch(got.begin(), got.end(), want.begin(), want.end());
  complaints_.push_back(path + " has " + std::to_string(got.size()) + " bytes, " +
                        std::to_string(want.size()) + " expected; they differ from byte " +
                        std::to_string(differ.first - got.begin()));
}

void OutputCheck::Finish() {
  std::set<std::string> folders;
  for (const Output& output : graph_.outputs()) {
    if (output.kind == OutputKind::kTextFiles) {
      folders.insert(fs::path(output.prefix).parent_path());
    }
  }
  for (const std::string& folder : folders) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (!expected_.contains(entry.path())) {
        complaints_.push_back(entry.path().string() + " is too much");
      }
    }
  }
}

}  // namespace sluice::kills
