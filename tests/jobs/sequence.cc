// Records "KEY NUMBER[ PADDING]", numbered from 1 for each key. Outputs, by batch:
//   ids   "KEY NUMBER" of every record, in the order of its task;
//   seen  (KEY,(last number, numbers left out, numbers not above the last)) as state found it. The
//         blocks of a batch are dealt out to its tasks: only batches come in order.
// Tasks wait while somebody holds the lock of --gate, and one dies of each file --doom.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

struct Seen {
  int64_t last = 0;
  int64_t left_out = 0;
  int64_t not_above = 0;
};

// "KEY NUMBER" of a line.
std::string_view Unpadded(std::string_view line) {
  return line.substr(0, line.find(' ', line.find(' ') + 1));
}

std::pair<std::string_view, int64_t> KeyAndNumber(std::string_view line) {
  const std::string_view id = Unpadded(line);
  const size_t blank = id.find(' ');
  int64_t number = 0;
  std::from_chars(id.data() + blank + 1, id.data() + id.size(), number);
  return {id.substr(0, blank), number};
}

std::optional<Seen> Follow(std::span<const int64_t> numbers, std::optional<Seen> before) {
  Seen seen = before.value_or(Seen{});
  std::vector<int64_t> ordered(numbers.begin(), numbers.end());
  std::sort(ordered.begin(), ordered.end());
  for (const int64_t number : ordered) {
    seen.left_out += std::max<int64_t>(0, number - seen.last - 1);
    seen.not_above += number <= seen.last;
    seen.last = std::max(seen.last, number);
  }
  return seen;
}

void PassThrough(const std::string& gate) {
  const int fd = open(gate.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  flock(fd, LOCK_SH);
  close(fd);
}

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string output = ssc.args().Get("output");
  const std::string gate = ssc.args().Get("gate"), doom = ssc.args().Get("doom");
  auto lines = ssc.PushStream("ids");
  lines.Map(Unpadded).SaveAsTextFiles(output + "/ids");
  lines.Map([gate, doom](std::string_view line) {
         PassThrough(gate);
         if (unlink(doom.c_str()) == 0) raise(SIGKILL);
         return KeyAndNumber(line);
       })
      .UpdateStateByKey("seen", Follow)
      .SaveAsTextFiles(output + "/seen");
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "sequence", .batch_interval = 250ms}, BuildJob);
}
