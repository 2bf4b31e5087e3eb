// Jobs and workers as JSON, one object each: what HTTP serves and `-o json` prints.
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
// Prometheus text.
std::string MetricsText(const proto::JobList& jobs, const proto::WorkerList& workers);

}  // namespace sluice::daemon
