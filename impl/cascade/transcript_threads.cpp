#include <algorithm>
#include <exception>
#include <system_error>
#include <thread>

#include "cascade/transcript_scan.hpp"
#include "core/library_thread.hpp"

namespace satchel::cascade {

unsigned threads_of(const TranscriptSettings& settings) {
  if (settings.threads != 0) return settings.threads;
  return std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
}

void run_on_threads(unsigned threads, const std::function<void()>& work) {
  std::mutex mutex;
  std::exception_ptr failure;
  const auto guarded = [&]() noexcept {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads);
  {
    const core::SignalsBlocked blocked;
    for (unsigned i = 1; i < threads; ++i) {
      try {
        others.emplace_back([&] {
          const core::LibraryThread marked;
          guarded();
        });
      } catch (const std::system_error&) {
        break;  // no more threads to be had: fewer do the same work
      }
    }
  }
  guarded();
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace satchel::cascade
