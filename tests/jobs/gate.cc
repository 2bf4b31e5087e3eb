// Sums over records "ID ANYTHING" whose tasks wait for as long as somebody holds the lock of the
// file of --gate, so that a test can hold work back for as long as it likes. With --slow_ms=N the
// state of each key takes so long on a node that is slow. The file of --calls gets a line for each
// record that is mapped, "map ID", and for each sum that is changed, "state KEY RECORDS".
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <charconv>
#include <iostream>
#include <mutex>

#include "examples/source.h"
#include "sluice/sluice.h"
#include "tests/jobs/slow_answer.h"

using namespace std::chrono_literals;

struct Sum {
  int64_t records = 0;
  int64_t ids = 0;
  int64_t bytes = 0;
};

Sum Add(const Sum& a, const Sum& b) {
  return {a.records + b.records, a.ids + b.ids, a.bytes + b.bytes};
}

std::optional<Sum> AddToTotal(std::span<const Sum> sums, std::optional<Sum> total) {
  for (const Sum& sum : sums) total = Add(total.value_or(Sum{}), sum);
  return total;
}

// The gate is shut while somebody holds its lock.
void PassThrough(const std::string& gate) {
  const int fd = open(gate.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
    static std::once_flag said;
    std::call_once(said, [] { std::cerr << "a task waits at the gate" << std::endl; });
    flock(fd, LOCK_SH);
  }
  close(fd);
}

// A node is slow while there is a file of this name where the executor works.
void WaitIfSlow(int64_t ms) {
  if (ms > 0 && access("slow", F_OK) == 0) AwaitAnswer(ms * 1000);
}

void Note(const std::string& calls, const std::string& line) {
  const int fd = open(calls.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, line.data(), line.size()) < 0) abort();
  close(fd);
}

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string gate = ssc.args().Get("gate"), calls = ssc.args().Get("calls", "");
  const int64_t slow_ms = ssc.args().GetInt("slow_ms", 0);
  examples::Lines(ssc)
      .Map([gate, calls](std::string_view line) {
        PassThrough(gate);
        int64_t id = 0;
        std::from_chars(line.data(), line.data() + line.size(), id);
        if (!calls.empty()) Note(calls, "map " + std::to_string(id) + "\n");
        return std::pair{id % 8, Sum{1, id, static_cast<int64_t>(line.size())}};
      })
      .ReduceByKey(Add)
      .UpdateStateByKey("sums",
                        [slow_ms, calls](std::span<const Sum> sums, std::optional<Sum> total) {
                          WaitIfSlow(slow_ms);
                          const Sum after = *AddToTotal(sums, total.value_or(Sum{}));
                          if (!calls.empty() && !sums.empty()) {
                            Note(calls, "state " + std::to_string(after.ids) + " " +
                                            std::to_string(after.records) + "\n");
                          }
                          return std::optional(after);
                        })
      .SaveAsTextFiles(ssc.args().Get("output") + "/sums");
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "gate", .batch_interval = 100ms}, BuildJob);
}
