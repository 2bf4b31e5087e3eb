// The jobs of the golden cases, by the text of their expression.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/golden/both_runs.h"
#include "tests/golden/golden_file.h"

namespace sluice::golden {

// A function for ForeachBatch that notes each call: the batch time, then the records.
class Calls {
 public:
  void operator()(const Batch<std::string>& batch) const;
  // What came since the last Take; nothing: no call.
  Cell Take();

 private:
  struct Noted {
    std::mutex mutex;
    Cell cell;
  };
  std::shared_ptr<Noted> noted_ = std::make_shared<Noted>();
};

// What a job may use.
struct Streams {
  DStream<std::string> words;
  DStream<std::string> more;
  DStream<int64_t> numbers;
  DStream<std::pair<std::string, int64_t>> pairs;
  std::string prefix;  // for SaveAsTextFiles
  Calls calls;
};

// Where a job is declared, and what becomes of the stream that it is.
struct Host {
  StreamingContext& ssc;
  BothRuns* runs = nullptr;  // kept by it; null: saved as text files
  std::string save_to;
};
using Declare = std::function<void(const Host&, const Streams&)>;

// Null when no job has this text.
const Declare* FindJob(const std::string& text_without_layout);

// ---- for the files of jobs --------------------------------------------------------------------

struct Job {
  std::string text;
  Declare declare;
};
std::vector<Job> NarrowJobs();
std::vector<Job> DatasetJobs();
std::vector<Job> PairJobs();
std::vector<Job> JoinJobs();
std::vector<Job> WindowJobs();
std::vector<Job> StateJobs();
std::vector<Job> MapWithStateJobs();
std::vector<Job> TransformJobs();
std::vector<Job> UserKeyJobs();

// A job that is a stream gets an output; one that declares outputs gives nothing.
template <class Expression>
void DeclareJob(const Host& host, const Expression& expression) {
  if constexpr (std::is_void_v<std::invoke_result_t<Expression>>) expression();
  else if (host.runs != nullptr) host.runs->Keep(expression());
  else expression().SaveAsTextFiles(host.save_to);
}

#define SLUICE_GOLDEN_JOB(...)                                                       \
  Job {                                                                              \
    WithoutLayout(#__VA_ARGS__), [](const Host& host, const Streams& streams) {      \
      [[maybe_unused]] const auto& [words, more, numbers, pairs, prefix, calls] = streams; \
      [[maybe_unused]] StreamingContext& ssc = host.ssc;                             \
      DeclareJob(host, [&] { return __VA_ARGS__; });                                 \
    }                                                                                \
  }

}  // namespace sluice::golden
