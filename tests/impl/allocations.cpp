#include "allocations.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t t_allocations = 0;
thread_local std::size_t t_until_failure = 0;  // 0: none is to fail
thread_local bool t_failed = false;
thread_local std::ptrdiff_t t_live = 0;
thread_local std::ptrdiff_t t_peak = 0;

void* allocate_or_null(std::size_t size) {
  ++t_allocations;
  if (t_until_failure > 0 && --t_until_failure == 0) {
    t_failed = true;
    return nullptr;
  }
  void* memory = std::malloc(size == 0 ? 1 : size);
  t_live += static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  t_peak = std::max(t_peak, t_live);
  return memory;
}

void release(void* memory) {
  t_live -= static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  std::free(memory);
}

void* allocate(std::size_t size) {
  void* memory = allocate_or_null(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// All forms but the aligned ones: a sanitizer's own would not call these, and find a mismatch.
void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return allocate_or_null(size);
}
void* operator new[](std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return allocate_or_null(size);
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t /*size*/) noexcept { release(memory); }

namespace satchel::test {

std::size_t allocations() { return t_allocations; }

std::ptrdiff_t live_bytes() { return t_live; }
std::ptrdiff_t peak_bytes() { return t_peak; }
void count_peak_from_now() { t_peak = t_live; }

FailingAllocation::FailingAllocation(std::size_t nth) {
  t_failed = false;
  t_until_failure = nth;
}

FailingAllocation::~FailingAllocation() { t_until_failure = 0; }

bool FailingAllocation::happened() const { return t_failed; }

}  // namespace satchel::test
