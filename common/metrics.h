// Counters and gauges, shown in the Prometheus text format.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace sluice {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// Only grows. Thread-safe; an increment is one atomic addition.
class Counter {
 public:
  void Add(uint64_t by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Thread-safe.
class Gauge {
 public:
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void Add(int64_t by) { value_.fetch_add(by, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Names and label names are [a-zA-Z_][a-zA-Z0-9_]*, units last, counters end in _total; all
// metrics of one name are of one kind. Label values may be anything. Thread-safe.
class Metrics {
 public:
  // The same object for the same name and labels; it lives as long as the registry.
  Counter* AddCounter(const std::string& name, const std::string& help, MetricLabels labels = {});
  Gauge* AddGauge(const std::string& name, const std::string& help, MetricLabels labels = {});
  // A gauge that is asked when it is shown. Replaces a former one.
  void AddGauge(const std::string& name, const std::string& help, MetricLabels labels,
                std::function<double()> read);
  // Takes the metrics with such a label away, as when a job has ended. Their objects live on.
  void Remove(const std::string& label, const std::string& value);

  std::string PrometheusText() const;

 private:
  struct Sample {
    MetricLabels labels;
    std::shared_ptr<Counter> counter;
    std::shared_ptr<Gauge> gauge;
    std::function<double()> read;
  };
  struct Family {
    std::string help;
    bool is_counter = false;
    std::map<std::string, Sample> samples;  // by labels as text
  };
  Sample& At(const std::string& name, const std::string& help, bool is_counter,
             MetricLabels labels);

  mutable std::mutex mutex_;
  std::map<std::string, Family> families_;
  std::vector<Sample> removed_;
};

inline constexpr char kPrometheusType[] = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace sluice
