// For tests: a certificate authority and a certificate of it for this machine's loopback.
#pragma once

#include <string>

namespace sluice {

struct TestPki {
  std::string ca_pem;
  std::string cert_pem;
  std::string key_pem;
};

TestPki MakeTestPki();

}  // namespace sluice
