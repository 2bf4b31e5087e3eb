// The job of the kill tests as a program.
#include "tests/jobs/ledger_job.h"

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, sluice::tests::LedgerOptions(), sluice::tests::BuildLedger);
}
