#include "common/metrics.h"

#include <charconv>
#include <utility>

namespace sluice {
namespace {

std::string Escaped(const std::string& text, bool quotes) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

std::string LabelText(const MetricLabels& labels) {
  if (labels.empty()) return "";
  std::string text;
  for (const auto& [name, value] : labels) {
    text += (text.empty() ? "{" : ",") + name + "=\"" + Escaped(value, true) + "\"";
  }
  return text + "}";
}

std::string NumberText(double value) {
  if (value != value) return "NaN";
  if (value - value != 0) return value > 0 ? "+Inf" : "-Inf";
  char text[64];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace

Metrics::Sample& Metrics::At(const std::string& name, const std::string& help, bool is_counter,
                             MetricLabels labels) {
  Family& family = families_[name];
  family.help = help;
  family.is_counter = is_counter;
  Sample& sample = family.samples[LabelText(labels)];
  sample.labels = std::move(labels);
  return sample;
}

Counter* Metrics::AddCounter(const std::string& name, const std::string& help,
                             MetricLabels labels) {
  std::lock_guard lock(mutex_);
  Sample& sample = At(name, help, true, std::move(labels));
  if (sample.counter == nullptr) sample.counter = std::make_shared<Counter>();
  return sample.counter.get();
}

Gauge* Metrics::AddGauge(const std::string& name, const std::string& help, MetricLabels labels) {
  std::lock_guard lock(mutex_);
  Sample& sample = At(name, help, false, std::move(labels));
  if (sample.gauge == nullptr) sample.gauge = std::make_shared<Gauge>();
  return sample.gauge.get();
}

void Metrics::AddGauge(const std::string& name, const std::string& help, MetricLabels labels,
                       std::function<double()> read) {
  std::lock_guard lock(mutex_);
  At(name, help, false, std::move(labels)).read = std::move(read);
}

void Metrics::Remove(const std::string& label, const std::string& value) {
  std::lock_guard lock(mutex_);
  const std::pair<std::string, std::string> wanted(label, value);
  for (auto& [name, family] : families_) {
    for (auto at = family.samples.begin(); at != family.samples.end();) {
      bool has = false;
      for (const auto& pair : at->second.labels) has |= pair == wanted;
      if (has) {
        at->second.read = nullptr;
        removed_.push_back(std::move(at->second));
        at = family.samples.erase(at);
      } else {
        ++at;
      }
    }
  }
}

std::string Metrics::PrometheusText() const {
  std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [name, family] : families_) {
    if (family.samples.empty()) continue;
    text += "# HELP " + name + " " + Escaped(family.help, false) + "\n";
    text += "# TYPE " + name + (family.is_counter ? " counter\n" : " gauge\n");
    for (const auto& [labels, sample] : family.samples) {
      text += name + labels + " ";
      if (sample.counter != nullptr) {
        text += std::to_string(sample.counter->value());
      } else {
        text += sample.read ? NumberText(sample.read()) : std::to_string(sample.gauge->value());
      }
      text += "\n";
    }
  }
  return text;
}

}  // namespace sluice
