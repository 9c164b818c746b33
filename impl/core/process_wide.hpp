// What is made once a process, when it is first needed, and kept until the process ends.
//
// A static inside a function and std::call_once do that too, but not across fork: where another
// thread was just making it, a child finds it half made and waits for ever for a thread that it
// does not have. Here a fork waits until the making is done. tests/abi sees to it that the library
// has neither of the two.
#pragma once

#include <atomic>
#include <mutex>

namespace satchel::core {

// Held while something process-wide is made, and around every fork of the process. Nothing that
// forks, or needs another ProcessWide, may run under it.
std::mutex& making_mutex();

// An object at namespace scope, constant-initialised; T too, and without a destructor.
template <class T>
class ProcessWide {
 public:
  using Make = T (*)();

  explicit constexpr ProcessWide(Make make) : make_(make) {}

  // Any thread. What `make` throws; the next call tries again then.
  const T& get() {
    if (!made_.load(std::memory_order_acquire)) make_it();
    return value_;
  }

 private:
  void make_it() {
    const std::lock_guard lock(making_mutex());
    if (made_.load(std::memory_order_relaxed)) return;
    value_ = make_();
    made_.store(true, std::memory_order_release);
  }

  const Make make_;
  std::atomic<bool> made_{false};
  T value_{};
};

}  // namespace satchel::core
