// For spawn_test. With a path it starts itself as a child and waits; the child, without spawner,
// writes its pid into the path (a fifo) and waits.
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "common/spawn.h"

int main(int argc, char** argv) {
  sluice::EndWithParent();
  if (argc == 3) {
    std::ofstream(argv[1]) << getpid() << std::endl;
    for (;;) pause();
  }
  if (argc != 2) return 2;
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 1;
  sluice::Spawner spawner;
  auto child = spawner.Start({.path = self, .argv0 = "child", .args = {argv[1], "child"}},
                             [](const sluice::ProcessId&, const sluice::ExitCause&) {});
  if (!child.ok()) return 1;
  for (;;) pause();
}
