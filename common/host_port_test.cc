#include "common/host_port.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(HostPortTest, ReadsWhatFlagsHave) {
  EXPECT_EQ(ParseHostPort("--driver", "web1:7000", false)->port, 7000);
  EXPECT_EQ(ParseHostPort("--driver", "[::1]:7000", false)->host, "[::1]");
  EXPECT_TRUE(ParseHostPort("--listen", "0.0.0.0:0", true).ok());
  for (const char* bad : {"", "web1", ":7000", "web1:", "web1:x", "web1:65536",
                          "web1:99999999999", "web1:7 ", "web1:-1", "web1:0",
                          "::1:7000", "a b:1", "http://x:1"}) {
    EXPECT_FALSE(ParseHostPort("--driver", bad, false).ok()) << bad;
  }
}

}  // namespace
}  // namespace sluice
