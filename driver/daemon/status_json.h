// Jobs and workers as JSON, one object each, and as metrics: what HTTP serves and `-o json` prints.
#pragma once

#include <string>

#include "proto/client.pb.h"

namespace sluice::daemon {

std::string JobJson(const proto::JobInfo& job);
std::string WorkerJson(const proto::WorkerInfo& worker);
std::string LetterJson(const proto::Letter& letter);
std::string CheckpointJson(const proto::CheckpointRow& row);
std::string JobsJson(const proto::JobList& jobs);           // an array
std::string WorkersJson(const proto::WorkerList& workers);  // an array
// Prometheus' text, and the type under which HTTP serves it.
inline constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";
std::string MetricsText(const proto::JobList& jobs, const proto::WorkerList& workers);

}  // namespace sluice::daemon
