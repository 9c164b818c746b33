#include "test_certificates.hpp"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <stdexcept>

namespace satchel::core {
namespace {

void check(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string("OpenSSL: ") + what);
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  check(extension != nullptr, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate unsigned_certificate(const std::string& name, const CertificateWish& wish) {
  static std::atomic<long> serial{1};
  Certificate made{std::unique_ptr<X509, FreeOpenssl>(X509_new()),
                   std::unique_ptr<EVP_PKEY, FreeOpenssl>(EVP_EC_gen("P-256"))};
  X509* x509 = made.x509.get();
  check(x509 != nullptr && made.key != nullptr, "a key");
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x509), wish.valid_from_s);
  X509_gmtime_adj(X509_getm_notAfter(x509), wish.valid_until_s);
  X509_set_pubkey(x509, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return made;
}

void sign(const Certificate& subject, const Certificate& issuer) {
  X509_set_issuer_name(subject.x509.get(), X509_get_subject_name(issuer.x509.get()));
  check(X509_sign(subject.x509.get(), issuer.key.get(), EVP_sha256()) > 0, "signing");
}

}  // namespace

Authority::Authority(const std::string& name) : own_(unsigned_certificate(name, {})) {
  X509* x509 = own_.x509.get();
  add_extension(x509, x509, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(x509, x509, NID_key_usage, "critical,keyCertSign");
  sign(own_, own_);
}

Certificate Authority::issue(const CertificateWish& wish) const {
  Certificate leaf = unsigned_certificate("Test Server", wish);
  add_extension(leaf.x509.get(), own_.x509.get(), NID_subject_alt_name, wish.names);
  sign(leaf, own_);
  return leaf;
}

void Authority::write_pem(const std::string& path) const {
  std::FILE* file = std::fopen(path.c_str(), "we");
  check(file != nullptr, "opening the PEM file");
  check(PEM_write_X509(file, own_.x509.get()) == 1, "writing the PEM file");
  std::fclose(file);
}

Certificate self_signed(const CertificateWish& wish) {
  Certificate leaf = unsigned_certificate("Nobody Knows", wish);
  add_extension(leaf.x509.get(), leaf.x509.get(), NID_subject_alt_name, wish.names);
  sign(leaf, leaf);
  return leaf;
}

}  // namespace satchel::core
