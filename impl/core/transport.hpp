// Asking another machine over HTTP: built in with libcurl, or the host's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace satchel::core {

struct HttpRequest {
  std::string_view method = "GET";  // or POST, which sends `body`
  std::string_view url;             // http or https
  // Values may hold secrets: a transport logs none of them and keeps none.
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::string_view body;
  std::int64_t timeout_ns = 0;     // for everything: name, connection, TLS, answer
  std::size_t max_body_bytes = 0;  // of the answer, decoded
};

struct HttpAnswer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // as they came, in order
  std::string body;

  // The value of the first header of this name, whatever its case; nullptr: there is none.
  [[nodiscard]] const std::string* header(std::string_view name) const;
};

class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  // Any thread, several at once. An answer of any status is an answer. kTimeout: not done within
  // timeout_ns; kLimit: the body is longer than max_body_bytes; kIo: no answer, or not all of it,
  // the message says why and holds no header's value; kArgument: this cannot be sent, such as a
  // header with a line break. Redirects are not followed.
  virtual Result<HttpAnswer> send(const HttpRequest& request) = 0;
  // Ends what is being sent, soon, with kIo; and whatever comes later. Any thread.
  virtual void stop() = 0;
};

// The host's way first, ours for what it does not handle (kNotHandled). `host` may be null.
std::unique_ptr<Transport> with_built_in(std::unique_ptr<Transport> host,
                                         std::unique_ptr<Transport> built_in);

}  // namespace satchel::core
