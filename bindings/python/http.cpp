#include "http.hpp"

#include "in_python.hpp"
#include "interpreter.hpp"

namespace satchel_python {
namespace {

py::list header_list(const satchel_http_request& request) {
  py::list headers(request.header_count);
  for (std::size_t i = 0; i < request.header_count; ++i) {
    headers[i] = py::make_tuple(text(request.headers[i].name), text(request.headers[i].value));
  }
  return headers;
}

satchel_status fill(satchel_http_answer* answer, const py::tuple& given) {
  satchel_status status = satchel_http_status_set(answer, given[0].cast<int32_t>());
  if (status != SATCHEL_OK) return status;
  for (const satchel_http_header& header : HttpHeaders(given[1])) {
    status = satchel_http_header_add(answer, header.name.data, header.name.len, header.value.data,
                                     header.value.len);
    if (status != SATCHEL_OK) return status;
  }
  const Buffer body(given[2]);
  return satchel_http_body_add(answer, body.data(), body.size());
}

}  // namespace

HttpHeaders::HttpHeaders(py::handle pairs) {
  for (const py::handle item : pairs) {
    const auto pair = py::reinterpret_steal<py::tuple>(PySequence_Tuple(item.ptr()));
    if (!pair) throw py::error_already_set();
    if (pair.size() != 2) throw py::value_error("a header must be a pair of name and value");
    keep_.emplace_back(pair[0], "a header's name");
    keep_.emplace_back(pair[1], "a header's value");
  }
  headers_.reserve(keep_.size() / 2);
  for (std::size_t i = 0; i < keep_.size(); i += 2) {
    headers_.push_back({keep_[i].view(), keep_[i + 1].view()});
  }
}

satchel_status http(py::handle send, const satchel_http_request& request,
                    satchel_http_answer* answer) {
  return in_python(send, [&]() -> satchel_status {
    const py::object given = call_python(
        send, py::make_tuple(text(request.method), text(request.url), header_list(request),
                             bytes(request.body), request.max_body, request.timeout_ms / 1000.0));
    if (asks_for_built_in(given)) return SATCHEL_NOT_HANDLED;
    if (PyLong_Check(given.ptr())) return given.cast<satchel_status>();
    return fill(answer, given.cast<py::tuple>());
  });
}

}  // namespace satchel_python
