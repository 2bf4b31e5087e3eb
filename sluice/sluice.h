// All that a job includes.
//
//   void BuildJob(sluice::StreamingContext& ssc) { ...streams and outputs... }
//   int main(int argc, char** argv) {
//     return sluice::RunJob(argc, argv, {.name = "wordcount", .batch_interval = 1s}, BuildJob);
//   }
#pragma once

#include "driver/api/api.h"
#include "sluice/run_job.h"
#include "sluice/runner_install.h"
