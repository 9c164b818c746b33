// What the tool cache and the cascade have in common: a handle that Python code opened, that any
// thread may use and close, and that is closed at exit at the latest.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "failure.hpp"
#include "interpreter.hpp"

namespace satchel_python {

namespace py = pybind11;

template <class Handle, satchel_status (*close_handle)(Handle**)>
class Opened {
 public:
  // Lock held, as for everything here.
  static std::shared_ptr<Opened> make(Handle* handle) {
    auto opened = std::make_shared<Opened>(handle);
    std::erase_if(all(), [](const auto& other) { return other.expired(); });
    all().push_back(opened);
    return opened;
  }

  explicit Opened(Handle* handle) : handle_(handle) {}
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() {
    // At exit close_all has closed it, or found that closing it could block for good.
    if (handle_ == nullptr || exit_has_begun()) return;
    const satchel_status status = without_lock([this] { return close_handle(&handle_); });
    if (status == SATCHEL_ERR_BUSY) dropped_inside().push_back(handle_);
  }

  [[nodiscard]] bool closed() const { return handle_ == nullptr; }

  void close() {
    // The member stays as it is meanwhile: calls of other threads get the library's own answer, and
    // a close that is refused leaves it open.
    Handle* handle = handle_;
    if (handle == nullptr) return;
    const satchel_status status = without_lock([&handle] { return close_handle(&handle); });
    // ERR_HANDLE: another thread has closed it at the same time.
    if (status == SATCHEL_ERR_BUSY) fail(status, "a callback cannot close what it works for");
    handle_ = nullptr;
  }

  // Runs call(handle, error) without Python's lock. Errors are thrown, answers returned. The
  // library answers for a handle that is closed meanwhile.
  template <class Call>
  satchel_status ask(Call&& call) const {
    satchel_error error = SATCHEL_ERROR_INIT;
    return ask(error, std::forward<Call>(call));
  }
  // The same, for answers whose message is wanted.
  template <class Call>
  satchel_status ask(satchel_error& error, Call&& call) const {
    const satchel_status status =
        call_library([&, handle = handle_] { return call(handle, &error); });
    check(status, error);
    return status;
  }

  [[nodiscard]] static bool any_open() {
    return !dropped_inside().empty() ||
           std::any_of(all().begin(), all().end(), [](const auto& weak) {
             const auto opened = weak.lock();
             return opened && !opened->closed();
           });
  }

  // At exit, once nobody is inside any more.
  static void close_all() {
    for (const auto& weak : std::exchange(all(), {})) {
      if (const auto opened = weak.lock()) opened->close();
    }
    for (Handle* handle : std::exchange(dropped_inside(), {})) {
      without_lock([&handle] { return close_handle(&handle); });
    }
  }

 private:
  static std::vector<std::weak_ptr<Opened>>& all() {
    static std::vector<std::weak_ptr<Opened>> opened;
    return opened;
  }

  // What was dropped where it could not be closed: by the garbage collector, running in one of its
  // own callbacks.
  static std::vector<Handle*>& dropped_inside() {
    static std::vector<Handle*> handles;
    return handles;
  }

  Handle* handle_;  // guarded by Python's lock
};

}  // namespace satchel_python
