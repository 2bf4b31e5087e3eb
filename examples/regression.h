// A linear model that is improved batch by batch, by stochastic gradient descent.
#pragma once

#include <utility>

#include "examples/number.h"
#include "sluice/sluice.h"

namespace examples {

using Sample = std::vector<double>;  // features, and last the value to be predicted
struct Model {
  double loss = 0;              // mean squared error over the batch, each before its step
  std::vector<double> weights;  // of the features, and last the constant term
};

// "1.5 2 -3": two features and a value; nothing for other lines.
inline std::vector<Sample> ParseSample(std::string_view line) {
  Sample sample;
  for (const std::string_view word : sluice::SplitWords(line)) {
    const std::optional<double> number = Number(word);
    if (!number.has_value()) return {};
    sample.push_back(*number);
  }
  if (sample.size() < 2) return {};
  return {sample};
}

// One step for each sample, in their order. The constant term is the weight of a feature that is
// always 1.
inline Model Learn(std::span<const Sample> samples, Model model, double rate) {
  std::vector<double>& w = model.weights;
  double squares = 0;
  for (Sample x : samples) {
    double error = -std::exchange(x.back(), 1.0);
    if (w.empty()) w.resize(x.size());
    if (w.size() != x.size()) continue;  // another number of features
    for (size_t i = 0; i < x.size(); ++i) error += w[i] * x[i];
    for (size_t i = 0; i < x.size(); ++i) w[i] -= rate * error * x[i];
    squares += error * error;
  }
  model.loss = samples.empty() ? 0 : squares / static_cast<double>(samples.size());
  return model;
}

// The model after each batch.
inline auto Regression(const sluice::DStream<std::string>& lines, double rate) {
  return lines.FlatMap(ParseSample)
      .Map([](const Sample& sample) { return std::pair{int64_t{0}, sample}; })
      .UpdateStateByKey("model",
                        [rate](std::span<const Sample> samples, std::optional<Model> model) {
                          return std::optional(Learn(samples, model.value_or(Model()), rate));
                        },
                        {.partitions = 1})
      .Map([](const std::pair<int64_t, Model>& row) { return row.second; });
}

}  // namespace examples
