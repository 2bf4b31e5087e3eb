// A job whose partition function writes into a sink of its own, as its users are told: it keeps the
// highest fence that it has seen and refuses a lower one.
//
//   --sink=DIR   one journal per partition, a line for each accepted write:
//                FENCE BATCH OUTPUT id id ...
//                and one per refusal: refused FENCE BATCH OUTPUT
//   --doom=FILE  whoever removes the file dies after its write, before it can report
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

namespace {

using Records = sluice::PartitionBatch<std::string>;

// One partition's journal, locked as long as it is open: another process waits.
class Journal {
 public:
  explicit Journal(const std::string& path)
      : file_(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
    if (file_ < 0 || flock(file_, LOCK_EX) != 0) throw std::runtime_error("cannot open " + path);
  }
  ~Journal() { close(file_); }

  // 0: nothing was accepted yet.
  uint64_t HighestFence() const {
    std::string text(static_cast<size_t>(lseek(file_, 0, SEEK_END)), '\0');
    if (pread(file_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      throw std::runtime_error("cannot read a journal");
    }
    uint64_t highest = 0;
    for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
      if (text[at] != 'r') highest = std::max<uint64_t>(highest, std::stoull(text.substr(at, 20)));
    }
    return highest;
  }
  void Append(const std::string& line) {
    if (write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      throw std::runtime_error("cannot write a journal");
    }
  }

 private:
  const int file_;
};

void Write(const std::string& folder, const std::string& doom, const Records& records) {
  const auto& identity = records.identity();
  std::string line = std::to_string(identity.fence) + " " + std::to_string(identity.batch_ms) +
                     " " + std::to_string(identity.output);
  Journal journal(folder + "/" + std::to_string(identity.partition));
  if (identity.fence < journal.HighestFence()) {
    journal.Append("refused " + line + "\n");
    throw std::runtime_error("a newer attempt has written here");
  }
  records.ForEach([&](std::string_view id) { line.append(" ").append(id); });
  journal.Append(line + "\n");
  if (unlink(doom.c_str()) == 0) raise(SIGKILL);
}

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string sink = ssc.args().Get("sink");
  const std::string doom = ssc.args().Get("doom", "/nowhere");
  ssc.PushStream("ids").Repartition(4).ForeachPartition(
      [sink, doom](const Records& records) { Write(sink, doom, records); });
}

}  // namespace

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "fencing", .batch_interval = 100ms}, BuildJob);
}
