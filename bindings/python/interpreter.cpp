#include "interpreter.hpp"

#include <unistd.h>

#include <atomic>
#include <thread>

#include "failure.hpp"

namespace satchel_python {
namespace {

std::atomic<bool> exiting{false};
std::atomic<bool> callbacks_shut{false};
std::atomic<int> calls_inside{0};
std::atomic<int> callbacks_inside{0};

// Polls, because a condition variable would need a mutex that a fork could leave locked.
bool wait_for_zero(const std::atomic<int>& count, std::chrono::milliseconds at_most) {
  return without_lock([&] {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (count.load() != 0) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  });
}

}  // namespace

LibraryCall::LibraryCall() {
  if (exiting.load(std::memory_order_relaxed)) {
    fail(SATCHEL_ERR_HANDLE, "the interpreter is exiting; everything has been closed");
  }
  calls_inside.fetch_add(1);
}

LibraryCall::~LibraryCall() { calls_inside.fetch_sub(1); }

void park_thread() {
  for (;;) pause();
}

py::object call_python(py::handle callable, const py::tuple& arguments) {
  PyObject* answer = nullptr;
  try {
    answer = PyObject_CallObject(callable.ptr(), arguments.ptr());
  } catch (...) {  // nothing else comes through C
    park_thread();
  }
  if (answer == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(answer);
}

void take_lock_back(PyThreadState* state) {
  try {
    PyEval_RestoreThread(state);
  } catch (...) {
    park_thread();
  }
}

bool enter_python(PyGILState_STATE* state) noexcept {
  // Counted before asked: shut_callbacks sets the flag first and then waits for the count.
  callbacks_inside.fetch_add(1);
  if (callbacks_shut.load()) {
    callbacks_inside.fetch_sub(1);
    return false;
  }
  try {
    *state = PyGILState_Ensure();
  } catch (...) {
    park_thread();
  }
  return true;
}

void leave_python(PyGILState_STATE state) noexcept {
  PyGILState_Release(state);
  callbacks_inside.fetch_sub(1);
}

bool exit_has_begun() { return exiting.load(); }

void begin_exit() { exiting.store(true); }

bool wait_for_calls(std::chrono::milliseconds at_most) {
  return wait_for_zero(calls_inside, at_most);
}

bool wait_for_callbacks(std::chrono::milliseconds at_most) {
  return wait_for_zero(callbacks_inside, at_most);
}

void shut_callbacks(std::chrono::milliseconds at_most) {
  callbacks_shut.store(true);
  wait_for_zero(callbacks_inside, at_most);
}

void after_fork_in_child() {
  calls_inside.store(0);
  callbacks_inside.store(0);
}

}  // namespace satchel_python
