// Python's lock, and the end of the interpreter.
//
// Two rules keep the module from deadlocks: the lock is released around every call of the library,
// also around those that free something, and taken in every callback. Then no thread ever waits
// for the library while another one that holds the library's locks waits for Python's.
//
// The end of the interpreter is the hard part. CPython ends any thread that asks for the lock once
// it has begun to finalize, by unwinding its stack; through the library's frames that would abort
// the process. Therefore the package closes everything at exit, while Python still works; what
// cannot be closed in time is left to the operating system, and a thread that comes back too late
// is parked.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <chrono>
#include <utility>

namespace satchel_python {

namespace py = pybind11;

// Counts a call of the library that Python code makes. Lock held.
class LibraryCall {
 public:
  LibraryCall();  // throws ClosedError once the exit has begun
  LibraryCall(const LibraryCall&) = delete;
  LibraryCall& operator=(const LibraryCall&) = delete;
  ~LibraryCall();
};

// Keeps a thread from going anywhere until the process ends.
[[noreturn]] void park_thread();

// Calls something written in Python. All such calls go this way: a thread that CPython ends in the
// middle of one is parked right here, before any C++ frame is unwound, because their destructors
// would release Python objects without the lock.
py::object call_python(py::handle callable, const py::tuple& arguments);

// PyEval_RestoreThread that parks the thread where CPython would end it.
void take_lock_back(PyThreadState* state);

// Runs `work`, which must not throw, without the lock. For calls that free something.
template <class Work>
auto without_lock(Work&& work) {
  // No guard object: its destructor would be noexcept, and a thread that CPython ends while it asks
  // for the lock would take the process with it.
  PyThreadState* state = PyEval_SaveThread();
  auto result = std::forward<Work>(work)();
  take_lock_back(state);
  return result;
}

// Runs a call of the library without the lock.
template <class Work>
auto call_library(Work&& work) {
  const LibraryCall call;
  return without_lock(std::forward<Work>(work));
}

// Takes the lock for a callback, on any thread. False: the interpreter is gone, do without it.
// Otherwise leave_python gives it back.
bool enter_python(PyGILState_STATE* state) noexcept;
void leave_python(PyGILState_STATE state) noexcept;

// The exit, step by step. Lock held.
[[nodiscard]] bool exit_has_begun();
void begin_exit();  // from now on a LibraryCall throws
// Waits for the calls inside the library. False: one of them is still there.
bool wait_for_calls(std::chrono::milliseconds at_most);
// The same for the callbacks that are inside Python.
bool wait_for_callbacks(std::chrono::milliseconds at_most);
// From now on enter_python fails; waits for the callbacks that are inside Python.
void shut_callbacks(std::chrono::milliseconds at_most);

// In the child of a fork: the threads that were counted stayed with the parent.
void after_fork_in_child();

}  // namespace satchel_python
