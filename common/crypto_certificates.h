// Certificates that Sluice makes by itself, for processes that may hold no key of the cluster.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct KeyAndCertificate {
  std::string certificate_pem;
  std::string key_pem;  // a secret
};

// A certificate authority that is a function of `secret`: whoever holds the secret gets the same
// one, byte for byte, and so can both trust and issue.
KeyAndCertificate AuthorityOf(std::string_view secret, const std::string& name);

// The first and the last second in which a certificate is good: ASN.1's "YYYYMMDDHHMMSSZ", or empty
// for the authority's own.
struct Validity {
  std::string begin = "";
  std::string end = "";
};

// A new key, and its certificate as a server on `hosts` (names or numeric addresses).
KeyAndCertificate IssueCertificate(const KeyAndCertificate& authority, const std::string& name,
                                   const std::vector<std::string>& hosts,
                                   const Validity& validity = {});

// Why nobody could be served with these, as the end of a sentence: "has run out on ...". Empty:
// they can be used.
std::string ProblemOf(const KeyAndCertificate& own);

// "is not valid before ..." of a certificate whose time has not come. Empty: it has.
std::string BeginsLater(const std::string& certificate_pem);

// Whether a text holds a certificate to trust.
bool HasCertificate(const std::string& pem);

}  // namespace sluice
