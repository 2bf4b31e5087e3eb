// The job of the kill tests, apart from its main: the oracle runs the same graph.
#pragma once

#include "sluice/sluice.h"

namespace sluice::tests {

// {.name = "ledger", ...} with the given flags.
JobOptions LedgerOptions(Args args = {});

// Flags: --dir and --output; --doom=DIR for tasks that die on request (ledger_job.cc).
void BuildLedger(StreamingContext& ssc);

}  // namespace sluice::tests
