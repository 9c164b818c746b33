// A small HTTP/1.1 server on a free port of 127.0.0.1, with or without TLS, a thread for each
// connection. What it answers, byte for byte, is the test's.
#pragma once

#include <openssl/ssl.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/file.hpp"
#include "test_certificates.hpp"

namespace satchel::core {

// One connection, as the server sees it.
class ServedConnection {
 public:
  ServedConnection(int fd, SSL* tls) : fd_(fd), tls_(tls) {}
  ServedConnection(const ServedConnection&) = delete;
  ServedConnection& operator=(const ServedConnection&) = delete;
  ~ServedConnection() { SSL_free(tls_); }

  bool write(std::string_view bytes);
  // What came, at most `max` bytes; empty at the end.
  std::string read(std::size_t max = 16'384);
  // Until the client goes away or the server stops.
  void wait_gone();
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  SSL* tls_;
};

struct ServedRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool malformed = false;
};

class HttpsServer {
 public:
  // Answers one request; true: the connection stays open for the next one.
  using Handler = std::function<bool(const ServedRequest&, ServedConnection&)>;

  // Listens at once, answers after start(). No certificate: no TLS.
  explicit HttpsServer(Handler handler, const Certificate* certificate = nullptr);
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;
  ~HttpsServer();

  void start();
  // TLS1_1_VERSION, TLS1_2_VERSION: from the next connection on.
  void speak_at_most(int tls_version);
  [[nodiscard]] int port() const { return port_; }
  // "https://127.0.0.1:1234"
  [[nodiscard]] std::string origin() const;
  [[nodiscard]] std::size_t connections() const;
  [[nodiscard]] std::vector<ServedRequest> requests() const;

 private:
  void accept_all();
  void serve(int fd);
  void serve_requests(ServedConnection& connection);

  Handler handler_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> tls_{nullptr, SSL_CTX_free};
  UniqueFd listener_;
  int port_ = 0;
  std::thread acceptor_;

  mutable std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::vector<int> open_;
  std::size_t connections_ = 0;
  std::vector<ServedRequest> requests_;
};

// The whole text of an answer with a body and its length.
std::string answer_text(int status, std::string_view body, std::string_view more_headers = {});

}  // namespace satchel::core
