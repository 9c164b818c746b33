// One request and its answer, on a handle of libcurl that lives as long: what libcurl copied of a
// secret (the request as it was sent) goes with it, wiped, while the connection stays for the next.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/libcurl.hpp"
#include "core/secret.hpp"
#include "core/transport.hpp"

namespace satchel::core {

struct CurlSettings {
  std::string user_agent;
  std::string ca_file;  // PEM, instead of the system's authorities; empty: the system's
};

class CurlExchange {
 public:
  CurlExchange(const LibCurl& curl, const CurlSettings& settings)
      : curl_(curl), settings_(settings) {}
  CurlExchange(const CurlExchange&) = delete;
  CurlExchange& operator=(const CurlExchange&) = delete;
  ~CurlExchange();

  // `request` is read until the exchange ends.
  Result<void> prepare(const HttpRequest& request);
  [[nodiscard]] CURL* easy() const { return easy_; }
  // After libcurl has ended it, with its verdict.
  Result<HttpAnswer> finish(CURLcode code);

 private:
  // What made us stop libcurl.
  enum class Refused : std::uint8_t { kNothing, kBodyTooLong, kHeadersTooLong, kNoMemory };

  static curl_socket_t open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static std::size_t take_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t take_body(char* data, std::size_t size, std::size_t count, void* self);
  void add_header_line(std::string_view line);

  template <class Value>
  void set(CURLoption option, Value value);
  void set_identity();
  void set_limits();
  Result<void> set_method();
  Result<void> set_headers();
  [[nodiscard]] bool has_header(std::string_view name) const;
  [[nodiscard]] Error failure(CURLcode code) const;

  const LibCurl& curl_;
  const CurlSettings& settings_;
  const HttpRequest* request_ = nullptr;
  CURL* easy_ = nullptr;
  CURLcode unset_ = CURLE_OK;  // the first option that libcurl refused
  std::string url_;
  std::vector<Secret> header_lines_;
  std::vector<curl_slist> header_list_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};

  HttpAnswer answer_;
  std::size_t header_bytes_ = 0;
  bool head_ended_ = false;
  Refused refused_ = Refused::kNothing;
};

}  // namespace satchel::core
