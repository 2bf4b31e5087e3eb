#include "common/net/test_pki.h"

#include <atomic>

#include "common/crypto_certificates.h"

namespace sluice {

TestPki MakeTestPki() {
  static std::atomic<int> number{0};
  const int mine = ++number;
  const KeyAndCertificate ca = AuthorityOf("test secret " + std::to_string(mine), "test ca");
  const KeyAndCertificate node = IssueCertificate(ca, "test node", {"127.0.0.1", "localhost"});
  return {ca.certificate_pem, node.certificate_pem, node.key_pem};
}

}  // namespace sluice
