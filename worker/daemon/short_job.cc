// A job binary, as far as a worker daemon can tell, whose executors end at once: with 3, or with 31
// under a daemon that is run with --insecure. They leave state on disk in a folder, and its name in
// the file "state"; what they find in "words.txt" goes into the file "seen", and is written over.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "common/role_flags.h"

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], sluice::kDescribeFlag) == 0) {
    std::cout << sluice::DescribeLine() << std::endl;
    return 0;
  }
  const std::string folder = "state-" + std::to_string(getpid()) + "-1";
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/000001.sst") << "entries";
  std::ofstream("state") << folder;
  if (std::ifstream words("words.txt"); words) {
    std::ofstream("seen") << words.rdbuf();
    std::ofstream("words.txt") << "ruined";
  }
  return std::getenv("SLUICE_JOB_INSECURE") != nullptr ? 31 : 3;
}
