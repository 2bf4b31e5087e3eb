#include "common/crypto_certificates.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace sluice {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

void Extend(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  if (extension == nullptr) return;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// All but key, issuer, extensions and signature. The times are fixed: an authority must come out
// the same whenever it is made, and leaves live as long as their process.
Certificate Blank(const std::string& name, EVP_PKEY* key) {
  Certificate certificate(X509_new(), X509_free);
  X509* x = certificate.get();
  X509_set_version(x, 2);
  ASN1_TIME_set_string(X509_getm_notBefore(x), "20200101000000Z");
  ASN1_TIME_set_string(X509_getm_notAfter(x), "20991231235959Z");
  X509_set_pubkey(x, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.data()),
                             static_cast<int>(std::min<size_t>(name.size(), 64)), -1, 0);
  return certificate;
}

template <class Write>
std::string Pem(Write write) {
  BIO* bio = BIO_new(BIO_s_secmem());
  write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, size);
  BIO_free(bio);
  return text;
}

KeyAndCertificate ToPem(X509* certificate, EVP_PKEY* key) {
  return {Pem([&](BIO* bio) { PEM_write_bio_X509(bio, certificate); }),
          Pem([&](BIO* bio) {
            PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

std::string InWords(const ASN1_TIME* time) {
  return Pem([&](BIO* bio) { ASN1_TIME_print(bio, time); });
}

template <class T, class Read>
T* FromPem(const std::string& pem, Read read) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  T* value = read(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return value;
}

std::string AlternativeNames(const std::vector<std::string>& hosts) {
  std::string text;
  for (std::string host : hosts) {
    if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
    unsigned char address[16];
    const bool numeric = inet_pton(AF_INET, host.c_str(), address) == 1 ||
                         inet_pton(AF_INET6, host.c_str(), address) == 1;
    text += (text.empty() ? "" : ",") + std::string(numeric ? "IP:" : "DNS:") + host;
  }
  return text;
}

}  // namespace

KeyAndCertificate AuthorityOf(std::string_view secret, const std::string& name) {
  constexpr std::string_view kPurpose = "sluice certificate authority 1";
  unsigned char seed[32];
  unsigned size = sizeof seed;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(kPurpose.data()), kPurpose.size(), seed, &size);
  // Ed25519: a key is any 32 bytes, and its signatures have no randomness in them.
  const Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed, sizeof seed),
                EVP_PKEY_free);
  OPENSSL_cleanse(seed, sizeof seed);
  const Certificate certificate = Blank(name, key.get());
  X509* x = certificate.get();
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_set_issuer_name(x, X509_get_subject_name(x));
  Extend(x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  Extend(x, NID_key_usage, "critical,keyCertSign");
  X509_sign(x, key.get(), nullptr);
  return ToPem(x, key.get());
}

KeyAndCertificate IssueCertificate(const KeyAndCertificate& authority, const std::string& name,
                                   const std::vector<std::string>& hosts,
                                   const Validity& validity) {
  const Certificate issuer(FromPem<X509>(authority.certificate_pem, PEM_read_bio_X509), X509_free);
  const Key issuer_key(FromPem<EVP_PKEY>(authority.key_pem, PEM_read_bio_PrivateKey),
                       EVP_PKEY_free);
  const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const Certificate certificate = Blank(name, key.get());
  X509* x = certificate.get();
  if (!validity.begin.empty()) {
    ASN1_TIME_set_string(X509_getm_notBefore(x), validity.begin.c_str());
  }
  if (!validity.end.empty()) ASN1_TIME_set_string(X509_getm_notAfter(x), validity.end.c_str());
  uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1);
  X509_set_issuer_name(x, X509_get_subject_name(issuer.get()));
  Extend(x, NID_basic_constraints, "critical,CA:FALSE");
  Extend(x, NID_subject_alt_name, AlternativeNames(hosts));
  X509_sign(x, issuer_key.get(), nullptr);
  return ToPem(x, key.get());
}

std::string ProblemOf(const KeyAndCertificate& own) {
  const Certificate certificate(FromPem<X509>(own.certificate_pem, PEM_read_bio_X509), X509_free);
  const Key key(FromPem<EVP_PKEY>(own.key_pem, PEM_read_bio_PrivateKey), EVP_PKEY_free);
  std::string problem;
  if (certificate == nullptr) {
    problem = "cannot be read";
  } else if (key == nullptr) {
    problem = "has a key that cannot be read";
  } else if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    problem = "does not fit its key";
  } else if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    problem = "has run out on " + InWords(X509_get0_notAfter(certificate.get()));
  }
  ERR_clear_error();
  return problem;
}

std::string BeginsLater(const std::string& certificate_pem) {
  const Certificate certificate(FromPem<X509>(certificate_pem, PEM_read_bio_X509), X509_free);
  ERR_clear_error();
  if (certificate == nullptr) return "";
  const ASN1_TIME* begin = X509_get0_notBefore(certificate.get());
  return X509_cmp_current_time(begin) > 0 ? "is not valid before " + InWords(begin) : "";
}

bool HasCertificate(const std::string& pem) {
  const Certificate certificate(FromPem<X509>(pem, PEM_read_bio_X509), X509_free);
  ERR_clear_error();
  return certificate != nullptr;
}

}  // namespace sluice
