#include "tests/tidy.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string_view>

namespace sluice::tidy {
namespace {

constexpr size_t kLinesMax = 450;
constexpr size_t kColumnsMax = 100;

bool StartsWithAny(std::string_view text, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return text.starts_with(prefix); });
}

bool IsCode(std::string_view path) { return path.ends_with(".h") || path.ends_with(".cc"); }

bool IsTest(std::string_view path) {
  return path.ends_with("_test.cc") || path.starts_with("tests/");
}

bool IsText(std::string_view path) {
  static const std::vector<std::string> kEndings = {
      ".h",   ".cc", ".proto",   ".sh", ".bzl",   ".md",  ".bazel",
      ".txt", ".py", ".service", ".in", ".cmake", "/run", "WORKSPACE"};
  return std::any_of(kEndings.begin(), kEndings.end(),
                     [&](const std::string& ending) { return path.ends_with(ending); });
}

std::string At(const SourceFile& file, size_t line_index, std::string_view complaint) {
  return file.path + ":" + std::to_string(line_index + 1) + ": " + std::string(complaint);
}

size_t Columns(std::string_view line) {  // code points of UTF-8
  return std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

// Whether what follows this byte is part of a longer path, and so no place on a machine.
bool IsInsideAPath(char before) {
  return std::isalnum(static_cast<unsigned char>(before)) != 0 || before == '}' || before == '_';
}

struct Include {
  size_t line_index;
  std::string path;
  bool quoted;
};

std::vector<Include> IncludesOf(const SourceFile& file) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s+([<"])([^>"]+)[>"])re");
  std::vector<Include> includes;
  std::smatch match;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    if (file.lines[i].find("include") == std::string::npos) continue;
    if (std::regex_search(file.lines[i], match, kInclude)) {
      includes.push_back({i, match[2], match[1] == "\""});
    }
  }
  return includes;
}

// The packaged library that an include belongs to, if it is one with a law of its own.
std::optional<std::string> LibraryOf(std::string_view include) {
  if (include.ends_with(".grpc.pb.h") || StartsWithAny(include, {"grpc/", "grpcpp/", "grpc++/"})) {
    return "gRPC";
  }
  if (include.ends_with(".pb.h") || include.starts_with("google/protobuf/")) return "Protobuf";
  if (include.starts_with("absl/")) return "Abseil";
  if (include.starts_with("rocksdb/")) return "RocksDB";
  if (include.starts_with("glog/")) return "glog";
  if (include.starts_with("openssl/")) return "OpenSSL";
  if (include.starts_with("curl/")) return "libcurl";
  if (include == "httplib.h") return "httplib";
  if (include.starts_with("pqxx/")) return "libpqxx";
  return std::nullopt;
}

struct BannedWord {
  std::regex pattern;
  std::string instead;
  bool tests_only = false;
  std::string allowed_in = "";  // the one path, or folder, that may use it
};

// The words are written in two halves so that this file does not contain them.
const std::vector<BannedWord>& BannedWords() {
  const auto words = [](const char* pattern) { return std::regex(pattern, std::regex::optimize); };
  static const auto* banned = new std::vector<BannedWord>{
      {words("\\b(TO" "DO|FIX" "ME|X" "XX|HA" "CK)\\b"), "do it, or file an issue"},
      {words("\\bDIS" "ABLED_"), "mend the test or delete it"},
      {words("\\b\\w*(Man" "ager|Hel" "per|Ut" "ils?|Mi" "sc)\\b"), "name what it does"},
      {words("\\b(sla" "ve|mas" "ter)s?\\b"), "worker, driver"},
      {words("\\busing name" "space std;"), "name each thing"},
      {words("\\bas" "sert\\("), "CHECK, which stays on in release"},
      {words("\\bNU" "LL\\b"), "nullptr"},
      {words("\\btype" "def\\b"), "using"},
      // There a server's own end is awaited that may never come; it says so.
      {words("\\.det" "ach\\(\\)"), "own the thread and join it", false,
       "common/net/grpc_transport.cc"},
      {words("\\bs?ra" "nd\\("), "a seeded generator"},
      {words("\\babsl::string_" "view\\b"), "std::string_view and ToAbsl", false,
       "common/status.h"},
      {words("\\babsl::opt" "ional\\b"), "std::optional"},
      {words("\\b(sleep" "_for|sleep" "_until|Sleep" "For|usl" "eep|nanosl" "eep|sl" "eep)\\("),
       "await an event, or use a manual clock", true},
  };
  return *banned;
}

// What each folder may include; a longer folder name goes first.
struct FolderLaw {
  std::string folder;
  std::vector<std::string> may_include;
};

const std::vector<FolderLaw>& FolderLaws() {
  static const auto* laws = new std::vector<FolderLaw>{
      {"proto/", {"proto/"}},
      {"common/net/", {"common/", "proto/"}},
      {"common/", {"common/"}},
      {"checkpoint/", {"checkpoint/", "common/", "proto/"}},
      {"driver/", {"driver/", "checkpoint/", "common/", "proto/"}},
      {"worker/", {"worker/", "checkpoint/", "common/", "proto/"}},
      {"sluice/", {"sluice/", "driver/", "worker/", "checkpoint/", "common/", "proto/"}},
      {"examples/", {"sluice/", "examples/"}},
  };
  return *laws;
}

const std::set<std::string>& TopFolders() {
  static const auto* folders = new std::set<std::string>{
      "proto", "common", "checkpoint", "driver", "worker", "sluice", "examples",
      "tests", "bench",  "deploy",     "docs",   "third_party"};
  return *folders;
}

bool IsOurs(const Include& include) {
  return TopFolders().contains(include.path.substr(0, include.path.find('/')));
}

}  // namespace

std::vector<SourceFile> ReadTree(const std::string& root) {
  namespace fs = std::filesystem;
  std::vector<SourceFile> files;
  const auto add = [&](const fs::path& path) {
    const std::string name = fs::relative(path, root).string();
    if (!IsText(name)) return;
    SourceFile file{name, {}};
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) file.lines.push_back(line);
    files.push_back(std::move(file));
  };
  for (const fs::directory_entry& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file()) add(entry.path());
    if (!entry.is_directory() || entry.is_symlink()) continue;
    if (!TopFolders().contains(name) && name != ".ci") continue;
    for (const fs::directory_entry& inner : fs::recursive_directory_iterator(entry.path())) {
      if (inner.is_regular_file()) add(inner.path());
    }
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

Complaints CheckFileSizes(const std::vector<SourceFile>& files) {
  Complaints complaints;
  for (const SourceFile& file : files) {
    if (!IsCode(file.path) || file.lines.size() <= kLinesMax) continue;
    complaints.push_back(At(file, file.lines.size() - 1,
                            "more than 450 lines; look for the state machine to split"));
  }
  return complaints;
}

Complaints CheckLines(const std::vector<SourceFile>& files) {
  Complaints complaints;
  for (const SourceFile& file : files) {
    if (!IsCode(file.path) && !file.path.ends_with(".proto") && !file.path.ends_with(".sh")) {
      continue;
    }
    bool once = false;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const std::string& line = file.lines[i];
      const bool is_include = line.starts_with("#include");
      if (!is_include && Columns(line) > kColumnsMax) {
        complaints.push_back(At(file, i, "longer than 100 columns; break it"));
      }
      if (line.find('\t') != std::string::npos) complaints.push_back(At(file, i, "a tab; spaces"));
      if (!line.empty() && (line.back() == ' ' || line.back() == '\r')) {
        complaints.push_back(At(file, i, "white space at its end; remove it"));
      }
      once = once || line == "#pragma once";
    }
    if (file.path.ends_with(".h") && !once) {
      complaints.push_back(At(file, 0, "a header without #pragma once"));
    }
  }
  return complaints;
}

Complaints CheckBannedWords(const std::vector<SourceFile>& files) {
  Complaints complaints;
  for (const SourceFile& file : files) {
    if (file.path.ends_with(".md")) continue;
    const bool code = IsCode(file.path) || file.path.ends_with(".proto");
    for (const BannedWord& word : BannedWords()) {
      if (!code && &word != &BannedWords().front()) continue;
      if (word.tests_only && !IsTest(file.path)) continue;
      if (!word.allowed_in.empty() && file.path.starts_with(word.allowed_in)) continue;
      std::smatch match;
      for (size_t i = 0; i < file.lines.size(); ++i) {
        if (std::regex_search(file.lines[i], match, word.pattern)) {
          complaints.push_back(At(file, i, "'" + match.str() + "'; instead: " + word.instead));
        }
      }
    }
  }
  return complaints;
}

Complaints CheckMachinePaths(const std::vector<SourceFile>& files, const std::string& root) {
  const std::vector<std::string> paths = {root + "/", "/wo" "rk/", "/ro" "ot/"};
  Complaints complaints;
  for (const SourceFile& file : files) {
    for (size_t i = 0; i < file.lines.size(); ++i) {
      for (const std::string& path : paths) {
        const size_t at = file.lines[i].find(path);
        if (at == std::string::npos) continue;
        if (at > 0 && IsInsideAPath(file.lines[i][at - 1])) continue;
        complaints.push_back(At(file, i, "a path of one machine: " + path));
      }
    }
  }
  return complaints;
}

Complaints CheckFolderLaws(const std::vector<SourceFile>& files) {
  Complaints complaints;
  for (const SourceFile& file : files) {
    if (!IsCode(file.path)) continue;
    const auto law = std::find_if(
        FolderLaws().begin(), FolderLaws().end(),
        [&](const FolderLaw& candidate) { return file.path.starts_with(candidate.folder); });
    if (law == FolderLaws().end()) continue;  // tests/ and bench/ may use all
    for (const Include& include : IncludesOf(file)) {
      if (!IsOurs(include) || StartsWithAny(include.path, law->may_include)) continue;
      complaints.push_back(At(file, include.line_index,
                              law->folder + " may not include " + include.path));
    }
  }
  return complaints;
}

Complaints CheckPublicHeaders(const std::vector<SourceFile>& files) {
  std::map<std::string, const SourceFile*> by_path;
  for (const SourceFile& file : files) by_path[file.path] = &file;
  static const std::set<std::string> kForbidden = {"gRPC",    "Protobuf", "Abseil",
                                                  "RocksDB", "glog",     "libpqxx"};
  Complaints complaints;
  std::vector<std::string> open = {"sluice/sluice.h", "sluice/testing.h"};
  std::map<std::string, std::string> chain;
  for (const std::string& header : open) chain[header] = header;
  while (!open.empty()) {
    const std::string path = open.back();
    open.pop_back();
    const auto file = by_path.find(path);
    if (file == by_path.end()) continue;
    for (const Include& include : IncludesOf(*file->second)) {
      const std::optional<std::string> library = LibraryOf(include.path);
      if (library.has_value() && kForbidden.contains(*library)) {
        complaints.push_back(At(*file->second, include.line_index,
                                "users would include " + *library + " by " + chain[path]));
      }
      if (!IsOurs(include) || chain.contains(include.path)) continue;
      chain[include.path] = chain[path] + " > " + include.path;
      open.push_back(include.path);
    }
  }
  return complaints;
}

Complaints CheckLibraryPlaces(const std::vector<SourceFile>& files) {
  // An empty place is fixed by the first folder that includes the library.
  std::map<std::string, std::string> place = {
      {"gRPC", "common/net/"}, {"RocksDB", "checkpoint/"}, {"OpenSSL", "common/crypto"},
      {"libcurl", ""},         {"httplib", ""},           {"libpqxx", "sluice/sinks/"}};
  Complaints complaints;
  for (const SourceFile& file : files) {
    if (!IsCode(file.path) || IsTest(file.path)) continue;
    if (StartsWithAny(file.path, {"tests/", "bench/", "third_party/"})) continue;
    for (const Include& include : IncludesOf(file)) {
      const std::optional<std::string> library = LibraryOf(include.path);
      if (library == "Abseil" && file.path.starts_with("driver/api/")) {
        complaints.push_back(At(file, include.line_index, "Abseil in driver/api"));
      }
      if (!library.has_value() || !place.contains(*library)) continue;
      std::string& folder = place[*library];
      if (folder.empty()) folder = file.path.substr(0, file.path.rfind('/') + 1);
      if (file.path.starts_with(folder)) continue;
      // The two ends of the calls that clients make; links between processes stay in common/net.
      const bool client_call = StartsWithAny(
          file.path,
          {"driver/daemon/driver_service.", "sluice/cli/client.", "sluice/cli/push_client."});
      if (library == "gRPC" && client_call) continue;
      complaints.push_back(At(file, include.line_index, *library + " belongs to " + folder));
    }
  }
  return complaints;
}

Complaints CheckCoresArePure(const std::vector<SourceFile>& files) {
  static const std::set<std::string> kImpure = {
      "thread", "mutex",  "condition_variable", "shared_mutex", "fstream",  "filesystem",
      "future", "random", "unistd.h",           "sys/socket.h", "sys/stat.h"};
  Complaints complaints;
  for (const SourceFile& file : files) {
    if (!file.path.ends_with("_core.h") && !file.path.ends_with("_core.cc")) continue;
    for (const Include& include : IncludesOf(file)) {
      const std::optional<std::string> library = LibraryOf(include.path);
      if (!kImpure.contains(include.path) && library != "gRPC" && library != "RocksDB") continue;
      complaints.push_back(At(file, include.line_index,
                              "a core decides and does not act: no " + include.path));
    }
  }
  return complaints;
}

}  // namespace sluice::tidy
