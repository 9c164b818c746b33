// A transport that trusts a test's own authority, and servers that the authority vouches for.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): unsetenv is POSIX

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/curl_transport.hpp"
#include "https_server.hpp"
#include "surroundings.hpp"

namespace satchel::core {

constexpr std::int64_t kMillisecond = 1'000'000;

class CurlTransportFixture : public testing::Test {
 protected:
  CurlTransportFixture() : ca_file_(directory_ / "ca.pem") {
    // The servers are here, whatever proxy this machine is told to use.
    for (const char* name : {"ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY",
                             "http_proxy", "NO_PROXY", "no_proxy"}) {
      ::unsetenv(name);
    }
    authority_.write_pem(ca_file_);
    leaf_ = authority_.issue({});
    transport_ = make();
  }

  std::unique_ptr<Transport> make() {
    return make_curl_transport({"satchel-test/1", ca_file_}, log_);
  }

  HttpsServer& serve(HttpsServer::Handler handler) { return serve(std::move(handler), &leaf_); }
  HttpsServer& serve(HttpsServer::Handler handler, const Certificate* certificate) {
    servers_.push_back(std::make_unique<HttpsServer>(std::move(handler), certificate));
    servers_.back()->start();
    return *servers_.back();
  }
  HttpsServer& serve_plain(HttpsServer::Handler handler) {
    return serve(std::move(handler), nullptr);
  }
  // The same text to whoever asks.
  static HttpsServer::Handler always(std::string text, bool stay = true) {
    return [text = std::move(text), stay](const ServedRequest&, ServedConnection& connection) {
      return connection.write(text) && stay;
    };
  }
  // Reads the request and says nothing.
  static HttpsServer::Handler silent() {
    return [](const ServedRequest&, ServedConnection& connection) {
      connection.wait_gone();
      return false;
    };
  }

  static HttpRequest request_of(std::string_view url) {
    HttpRequest request;
    request.url = url;
    request.timeout_ns = 30 * kSecond;
    request.max_body_bytes = 65'536;
    return request;
  }
  Result<HttpAnswer> get(const std::string& url) { return transport_->send(request_of(url)); }
  Result<HttpAnswer> get_within(const std::string& url, std::int64_t timeout_ns) {
    HttpRequest request = request_of(url);
    request.timeout_ns = timeout_ns;
    return transport_->send(request);
  }
  // The status of an error, or kOk.
  static Status status_of(const Result<HttpAnswer>& answer) {
    return answer ? Status::kOk : answer.error().status;
  }

  CapturedLog log_;
  TemporaryDirectory directory_;
  Authority authority_;
  std::string ca_file_;
  Certificate leaf_;
  std::vector<std::unique_ptr<HttpsServer>> servers_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace satchel::core
