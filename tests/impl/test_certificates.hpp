// Certificates for a test's own server, made on the spot: an authority, and leaves that it signed.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace satchel::core {

struct FreeOpenssl {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

struct Certificate {
  std::unique_ptr<X509, FreeOpenssl> x509;
  std::unique_ptr<EVP_PKEY, FreeOpenssl> key;
};

struct CertificateWish {
  std::string names = "DNS:localhost,IP:127.0.0.1";  // as OpenSSL writes subjectAltName
  long valid_from_s = -3600;                         // from now
  long valid_until_s = 3600;
};

class Authority {
 public:
  explicit Authority(const std::string& name = "Test Authority");
  [[nodiscard]] Certificate issue(const CertificateWish& wish) const;
  // For CurlSettings::ca_file.
  void write_pem(const std::string& path) const;

 private:
  Certificate own_;
};

Certificate self_signed(const CertificateWish& wish);

}  // namespace satchel::core
