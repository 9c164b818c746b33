// Who asks for what, from Python's arguments.
#pragma once

#include "arguments.hpp"

namespace satchel_python {

// The texts of a request head, borrowed while this lives.
class RequestHead {
 public:
  RequestHead(const py::object& method, const py::object& target, const py::object& authorization,
              const py::object& api_key, const py::object& principal)
      : method_(method, "method"),
        target_(target, "target"),
        authorization_(authorization, "authorization"),
        api_key_(api_key, "api_key"),
        principal_(principal, "principal") {
    head_.method = method_.view();
    head_.target = target_.view();
    head_.authorization = authorization_.view();
    head_.api_key = api_key_.view();
    head_.principal = principal_.view();
  }

  [[nodiscard]] const satchel_request_head* get() const { return &head_; }

 private:
  Text method_;
  Text target_;
  Text authorization_;
  Text api_key_;
  Text principal_;
  satchel_request_head head_ = SATCHEL_REQUEST_HEAD_INIT;
};

}  // namespace satchel_python
