// Allocations of this thread, counted, weighed and made to fail.
#pragma once

#include <cstddef>

namespace satchel::test {

// Calls of operator new on this thread since the program began.
std::size_t allocations();

// Bytes that operator new gave this thread and that were not given back; memory handed to another
// thread and freed there is not accounted for.
std::ptrdiff_t live_bytes();
// The most there were since the last call of count_peak_from_now().
std::ptrdiff_t peak_bytes();
void count_peak_from_now();

// While it lives, the allocation number `nth` (1 is the next) of this thread fails.
class FailingAllocation {
 public:
  explicit FailingAllocation(std::size_t nth);
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;
  ~FailingAllocation();
  // Whether it came to that.
  [[nodiscard]] bool happened() const;
};

}  // namespace satchel::test
