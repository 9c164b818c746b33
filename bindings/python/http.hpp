// HTTP headers as Python has them, and the host's way to other machines.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <vector>

#include "arguments.hpp"

namespace satchel_python {

namespace py = pybind11;

// An iterable of pairs of str or bytes as the library takes it, borrowed while this lives.
class HttpHeaders {
 public:
  explicit HttpHeaders(py::handle pairs);

  [[nodiscard]] const satchel_http_header* data() const { return headers_.data(); }
  [[nodiscard]] std::size_t size() const { return headers_.size(); }
  [[nodiscard]] auto begin() const { return headers_.begin(); }
  [[nodiscard]] auto end() const { return headers_.end(); }

 private:
  std::vector<Text> keep_;
  std::vector<satchel_http_header> headers_;
};

// Of satchel_host, through send(method, url, headers, body, max_body, timeout), which returns
// (status, headers, body), NotImplemented to ask for the built-in, or an int: a SATCHEL_ERR_*.
satchel_status http(py::handle send, const satchel_http_request& request,
                    satchel_http_answer* answer);

}  // namespace satchel_python
