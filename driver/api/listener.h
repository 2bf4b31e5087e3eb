// What a program can hear of its job: derive from StreamingListener and give it to
// StreamingContext::AddListener.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

// Times are milliseconds since 1970, on the job driver's clock; -1: not yet.

// What a batch takes from one stream.
struct InputInfo {
  std::string stream;      // "socket-0", "orders"
  uint64_t records = 0;    // of files only at the end, in BatchInfo::records
  uint64_t files = 0;
  uint64_t file_bytes = 0;
};

struct BatchInfo {
  int64_t time_ms = 0;  // the batch's name
  uint64_t records = 0;
  std::vector<InputInfo> inputs;
  int64_t submission_ms = -1;        // its input was fixed
  int64_t processing_start_ms = -1;  // its tasks were handed out
  int64_t processing_end_ms = -1;    // it is decided and its output is out
  std::string failure;               // not empty: it failed for good
  uint64_t letters = 0;              // records and keys that were set aside (bad_records=aside)

  int64_t scheduling_delay_ms() const { return Between(submission_ms, processing_start_ms); }
  int64_t processing_delay_ms() const { return Between(processing_start_ms, processing_end_ms); }
  int64_t total_delay_ms() const { return Between(submission_ms, processing_end_ms); }

 private:
  static int64_t Between(int64_t begin, int64_t end) {
    return begin < 0 || end < 0 ? -1 : end - begin;
  }
};

struct OutputOperationInfo {
  int64_t batch_ms = 0;
  uint32_t id = 0;      // in the order of the program
  std::string name;     // "Print", "SaveAsTextFiles"
  int64_t start_ms = -1;
  int64_t end_ms = -1;
  std::string failure;  // not empty: it failed for good
};

struct ReceiverInfo {
  std::string stream;
  std::string worker;
  std::string error;  // of OnReceiverError
};

// Called in the job driver only, on one thread that does nothing else, one call at a time, in the
// order in which things happened there. Every batch that has tasks is submitted, started and
// completed, in order of time; its output operations start and complete in between. A relaunched
// job driver tells of the batches that were not decided; it may tell again what the former one
// told. A listener that is slow delays the others only; where 10,000 events wait, later ones are
// dropped and counted. What it throws is logged. It cannot stop the job of an embedded context:
// Stop says so.
class StreamingListener {
 public:
  virtual ~StreamingListener() = default;
  virtual void OnBatchSubmitted(const BatchInfo&) {}
  virtual void OnBatchStarted(const BatchInfo&) {}
  virtual void OnBatchCompleted(const BatchInfo&) {}  // a failed batch too
  virtual void OnOutputOperationStarted(const OutputOperationInfo&) {}
  virtual void OnOutputOperationCompleted(const OutputOperationInfo&) {}
  virtual void OnReceiverStarted(const ReceiverInfo&) {}
  virtual void OnReceiverError(const ReceiverInfo&) {}  // it goes on, or runs again
  virtual void OnReceiverStopped(const ReceiverInfo&) {}
};

}  // namespace sluice
