// A job binary, as far as a worker daemon can tell, whose executors end at once: with 3, or with 31
// under a daemon that is run with --insecure.
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "common/role_flags.h"

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], sluice::kDescribeFlag) == 0) {
    std::cout << sluice::DescribeLine() << std::endl;
    return 0;
  }
  return std::getenv("SLUICE_JOB_INSECURE") != nullptr ? 31 : 3;
}
