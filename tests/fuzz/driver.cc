// Runs a fuzzer without libFuzzer, the same way every time: its seeds, the files of a corpus, and
// then a number of mutations of these.
//
//   X_fuzz_test [--runs=N] [--seed=N] [FOLDER]     # the corpus; missing is empty
//   X_fuzz_test --once FILE                        # one input, such as a crash has left
//   X_fuzz_test --write-seeds FOLDER
//
// When an input ends the process, it is left in the file that is named last, and shown. An input
// that takes longer than twenty seconds counts as one.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

constexpr size_t kSizeMax = 1 << 16;
constexpr unsigned kHangSeconds = 20;
constexpr rlim_t kMemoryMax = rlim_t{8} << 30;  // a length that is believed shows as bad_alloc

std::string current;     // what is being run
std::string crash_path;  // where it goes when it ends the process

void LeaveInput(int number) {
  const int file = ::open(crash_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const bool written =
      file >= 0 && ::write(file, current.data(), current.size()) == ssize_t(current.size());
  std::fprintf(stderr, "%s: %zu bytes%s %s:\n", number == SIGALRM ? "HANG" : "CRASH",
               current.size(), written ? " in" : ", not written to", crash_path.c_str());
  for (size_t i = 0; i < std::min<size_t>(current.size(), 256); ++i) {
    std::fprintf(stderr, "%02x", static_cast<unsigned char>(current[i]));
  }
  std::fprintf(stderr, "\n");
  ::signal(number, SIG_DFL);
  if (number == SIGALRM) std::_Exit(1);
  ::raise(number);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  size_t Below(size_t n) { return n == 0 ? 0 : Next() % n; }

 private:
  uint64_t state_;
};

// Numbers at which arithmetic goes wrong.
constexpr uint64_t kEdges[] = {0,          1,          0x7f,       0x80,       0xff,
                               0x100,      0x7fff,     0xffff,     0x10000,    0x7fffffff,
                               0x80000000, 0xfffffff0, 0xffffffff, uint64_t{1} << 32,
                               INT64_MAX,  uint64_t{1} << 63, UINT64_MAX - 7, UINT64_MAX};

void MutateOnce(std::string& bytes, const std::vector<std::string>& all, Random& random) {
  const size_t at = random.Below(bytes.size() + 1);
  const size_t some = std::min(bytes.size() - at, 1 + random.Below(random.Below(4) ? 8 : 200));
  switch (random.Below(9)) {
    case 0:
      if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << random.Below(8));
      break;
    case 1:
      if (at < bytes.size()) bytes[at] = static_cast<char>(random.Next());
      break;
    case 2:
      bytes.insert(at, 1 + random.Below(8), static_cast<char>(random.Next()));
      break;
    case 3:
      bytes.erase(at, some);
      break;
    case 4:
      bytes.insert(random.Below(bytes.size() + 1), std::string(bytes, at, some));
      break;
    case 5: {  // a number, little-endian, over what is there
      const uint64_t edge = kEdges[random.Below(std::size(kEdges))] + random.Below(3) - 1;
      const size_t width = std::min<size_t>(size_t{1} << random.Below(4), bytes.size() - at);
      if (width > 0) std::memcpy(bytes.data() + at, &edge, width);
      break;
    }
    case 6: {  // of another input
      const std::string& other = all[random.Below(all.size())];
      const size_t from = random.Below(other.size() + 1);
      bytes.replace(at, some, other, from, 1 + random.Below(64));
      break;
    }
    case 7:
      bytes.resize(at);
      break;
    case 8:
      if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] + (random.Below(2) ? 1 : -1));
      break;
  }
  if (bytes.size() > kSizeMax) bytes.resize(kSizeMax);
}

void Run(std::string bytes) {
  current = std::move(bytes);
  ::alarm(kHangSeconds);
  // In memory of exactly this size, so that a sanitizer sees what is read beyond it.
  const std::vector<uint8_t> exact(current.begin(), current.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> Corpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> inputs = Seeds();
  inputs.emplace_back();
  for (const auto& path : paths) inputs.push_back(ReadFile(path));
  return inputs;
}

int WriteSeeds(const std::string& folder) {
  std::filesystem::create_directories(folder);
  const std::vector<std::string> seeds = Seeds();
  for (size_t i = 0; i < seeds.size(); ++i) {
    std::ofstream(folder + "/seed" + std::to_string(i), std::ios::binary) << seeds[i];
  }
  return 0;
}

int Main(int argc, char** argv) {
  uint64_t runs = 10'000, seed = 1;
  std::string folder;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--write-seeds" && i + 1 < argc) return WriteSeeds(argv[i + 1]);
    if (word == "--once" && i + 1 < argc) return Run(ReadFile(argv[i + 1])), 0;
    if (word.starts_with("--runs=")) runs = std::stoull(word.substr(7));
    else if (word.starts_with("--seed=")) seed = std::stoull(word.substr(7));
    else folder = word;
  }
  const char* outputs = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR");
  crash_path = std::string(outputs != nullptr ? outputs : ".") + "/crash-" +
               std::filesystem::path(argv[0]).filename().string();
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) {
    ::signal(number, LeaveInput);
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit memory{kMemoryMax, kMemoryMax};
  ::setrlimit(RLIMIT_AS, &memory);
#endif
  const std::vector<std::string> inputs = Corpus(folder);
  for (const std::string& input : inputs) Run(input);
  Random random(seed);
  for (uint64_t run = 0; run < runs; ++run) {
    std::string bytes = inputs[random.Below(inputs.size())];
    for (size_t i = 1 + random.Below(4); i > 0; --i) MutateOnce(bytes, inputs, random);
    Run(std::move(bytes));
  }
  std::printf("%zu inputs, %llu mutations from seed %llu\n", inputs.size(),
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(seed));
  return 0;
}

}  // namespace
}  // namespace sluice::fuzz

int main(int argc, char** argv) { return sluice::fuzz::Main(argc, argv); }
