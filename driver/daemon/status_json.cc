#include "driver/daemon/status_json.h"

#include <nlohmann/json.hpp>
#include <sstream>

namespace sluice::daemon {
namespace {

using Json = nlohmann::ordered_json;

std::string Text(const Json& json) {
  // User text may be no UTF-8: it is replaced, never thrown at.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Hex(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Json Of(const proto::JobInfo& job) {
  const proto::JobStatus& s = job.status();
  Json receivers = Json::array();
  for (const proto::ReceiverPlace& place : s.receivers()) {
    receivers.push_back({{"stream", place.stream()},
                         {"address", place.address()},
                         {"taken", place.taken()},
                         {"rate", place.rate()}});
  }
  Json slow = Json::array();
  for (const proto::SlowWorker& worker : s.slow_workers()) {
    slow.push_back({{"id", worker.worker_id()},
                    {"times", worker.times()},
                    {"since_batch_ms", worker.since_batch_ms()}});
  }
  return {{"name", s.job()},
          {"state", s.state()},
          {"epoch", s.epoch()},
          {"generation", s.generation()},
          {"batch_interval_ms", s.batch_interval_ms()},
          {"last_decided_batch_ms", s.last_decided_batch_ms()},
          {"decided_batches", s.decided_batches()},
          {"waiting_batches", s.waiting_batches()},
          {"failed_batches", s.failed_batches()},
          {"kept_batches", s.kept_batches()},
          {"kept_at", s.kept_at()},
          {"letters", s.letters()},
          {"letters_at", s.letters_at()},
          {"replayed_letters", s.replayed_letters()},
          {"scheduling_delay_ms", s.scheduling_delay_ms()},
          {"records_total", s.records_total()},
          {"submitted_ms", job.submitted_ms()},
          {"driver_pid", job.driver_pid()},
          {"driver_restarts", job.driver_restarts()},
          {"under_replicated_blocks", s.under_replicated_blocks()},
          {"changed_files", s.changed_files()},
          {"input_problem", s.input_problem()},
          {"unpublished_batches", s.unpublished_batches()},
          {"output_problem", s.output_problem()},
          {"failure", s.failure()},
          {"lost_records", s.lost_records()},
          {"receivers", receivers},
          {"slow_workers", slow},
          {"straggler_copies", s.straggler_copies()},
          {"straggler_copies_won", s.straggler_copies_won()},
          {"straggler_copies_differ", s.straggler_copies_differ()},
          {"exit_code", s.exit_code()},
          {"slots", job.slots()},
          {"checkpoint", job.checkpoint()}};
}

Json Of(const proto::WorkerInfo& worker) {
  Json executors = Json::array();
  for (const proto::ExecutorStatus& executor : worker.executors()) {
    executors.push_back({{"job", executor.job()},
                         {"role", executor.role()},
                         {"pid", executor.pid()},
                         {"executor", executor.executor()}});
  }
  return {{"id", worker.id()},
          {"address", worker.address()},
          {"host", worker.host()},
          {"state", worker.state()},
          {"slots", worker.slots()},
          {"pid", worker.pid()},
          {"blocks_bytes", worker.blocks_bytes()},
          {"under_replicated_blocks", worker.under_replicated_blocks()},
          {"executors", executors}};
}

// What comes before the values of one metric.
void MetricHead(std::ostream& out, const char* name, const char* type, const char* help) {
  out << "# HELP " << name << " " << help << "\n# TYPE " << name << " " << type << "\n";
}

void ClusterMetric(std::ostream& out, const char* name, const char* help, uint64_t value) {
  MetricHead(out, name, "gauge", help);
  out << name << " " << value << "\n";
}

}  // namespace

// Bytes that are no text travel in hexadecimal digits.
std::string LetterJson(const proto::Letter& letter) {
  Json values = Json::array();
  for (const std::string& value : letter.values()) values.push_back(Hex(value));
  return Text({{"batch_ms", letter.batch_ms()},
               {"number", letter.number()},
               {"operator", letter.operator_name()},
               {"error", letter.error()},
               {"from", letter.source()},
               {"source", letter.source_key()},
               {"record", letter.record()},
               {"raw_hex", Hex(letter.raw())},
               {"key_hex", Hex(letter.key())},
               {"values_hex", values}});
}

std::string CheckpointJson(const proto::CheckpointRow& row) {
  return Text({{"name", row.name()},
               {"sequence", row.sequence()},
               {"batch_ms", row.batch_ms()},
               {"decided_slot", row.decided_slot()},
               {"parts", row.parts()},
               {"bytes", row.bytes()},
               {"damage", row.damage()}});
}

std::string JobJson(const proto::JobInfo& job) { return Text(Of(job)); }
std::string WorkerJson(const proto::WorkerInfo& worker) { return Text(Of(worker)); }

std::string JobsJson(const proto::JobList& jobs) {
  Json rows = Json::array();
  for (const auto& job : jobs.jobs()) rows.push_back(Of(job));
  return Text(rows);
}

std::string WorkersJson(const proto::WorkerList& workers) {
  Json rows = Json::array();
  for (const auto& worker : workers.workers()) rows.push_back(Of(worker));
  return Text(rows);
}

std::string MetricsText(const proto::JobList& jobs, const proto::WorkerList& workers) {
  using Job = const proto::JobInfo&;
  struct JobMetric {
    const char* name;
    const char* type;
    const char* help;
    uint64_t (*value)(Job);
  };
  static constexpr JobMetric kJobMetrics[] = {
      {"sluice_job_decided_batches", "counter", "Batches whose result is final.",
       [](Job j) -> uint64_t { return j.status().decided_batches(); }},
      {"sluice_job_waiting_batches", "gauge", "Batches that are planned and not decided.",
       [](Job j) -> uint64_t { return j.status().waiting_batches(); }},
      {"sluice_job_unpublished_batches", "gauge", "Decided batches whose outputs are not out.",
       [](Job j) -> uint64_t { return j.status().unpublished_batches(); }},
      {"sluice_job_failed_batches", "counter", "Batches given up on.",
       [](Job j) -> uint64_t { return j.status().failed_batches(); }},
      {"sluice_job_scheduling_delay_ms", "gauge", "How late the last batch began.",
       [](Job j) -> uint64_t { return j.status().scheduling_delay_ms(); }},
      {"sluice_job_records_total", "counter", "Records of all decided batches.",
       [](Job j) -> uint64_t { return j.status().records_total(); }},
      {"sluice_job_kept_batches", "counter", "Failed batches whose input was kept.",
       [](Job j) -> uint64_t { return j.status().kept_batches(); }},
      {"sluice_job_letters", "counter", "Records and keys that were set aside.",
       [](Job j) -> uint64_t { return j.status().letters(); }},
      {"sluice_job_replayed_letters", "counter", "Of those, the ones that were run again.",
       [](Job j) -> uint64_t { return j.status().replayed_letters(); }},
      {"sluice_job_lost_records", "counter", "Records taken and lost before they were safe.",
       [](Job j) -> uint64_t { return j.status().lost_records(); }},
      {"sluice_job_changed_files", "counter", "Input files that changed after they were taken.",
       [](Job j) -> uint64_t { return j.status().changed_files(); }},
      {"sluice_job_straggler_copies", "counter", "Tasks that were run a second time elsewhere.",
       [](Job j) -> uint64_t { return j.status().straggler_copies(); }},
      {"sluice_job_straggler_copies_won", "counter", "Of those, the ones that were done first.",
       [](Job j) -> uint64_t { return j.status().straggler_copies_won(); }},
      {"sluice_job_driver_restarts", "counter", "How often the job driver was started again.",
       [](Job j) -> uint64_t { return j.driver_restarts(); }}};
  std::ostringstream out;
  for (const JobMetric& metric : kJobMetrics) {
    if (jobs.jobs().empty()) break;
    MetricHead(out, metric.name, metric.type, metric.help);
    for (const auto& job : jobs.jobs()) {  // a name has nothing to escape
      out << metric.name << "{job=\"" << job.status().job() << "\"} " << metric.value(job) << "\n";
    }
  }
  uint64_t live = 0, slots = 0, bytes = 0, under_replicated = 0;
  for (const auto& worker : workers.workers()) {
    if (worker.state() != "UP") continue;
    ++live;
    slots += worker.slots();
    bytes += worker.blocks_bytes();
    under_replicated += worker.under_replicated_blocks();
  }
  ClusterMetric(out, "sluice_workers", "Workers that are up.", live);
  ClusterMetric(out, "sluice_slots", "Slots of these workers.", slots);
  ClusterMetric(out, "sluice_blocks_bytes", "Bytes of received blocks on them, copies too.", bytes);
  ClusterMetric(out, "sluice_under_replicated_blocks", "Blocks with fewer copies than asked.",
                under_replicated);
  return out.str();
}

}  // namespace sluice::daemon
