// Handles: what the host holds is a number dressed as a pointer, never an address. It names a slot
// of a table and the slot's generation, so that NULL, a closed handle, a handle of another type and
// a pointer that was never ours are all told apart without touching foreign memory.
//
// A call pins the slot while it runs; closing waits until nobody is inside.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/result.hpp"

namespace satchel::abi {

enum class HandleType : std::uint8_t {
  kNone = 0,
  kLibrary,
  kPromptCache,
  kRequest,
  kPrompt,
  kUsageFilter,
  kOutcome,
  kToolCache,
  kToolResult,
  kToolLease,
  kToolWriter,
  kCascade,
  kUsage,
};

const char* handle_type_name(HandleType type);

struct Slot;

// A handle in use: the object lives at least as long as this. On the stack only.
class Pin {
 public:
  Pin() = default;
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin();

  // kOk, kHandle (NULL, closed, of another type, none of ours) or kForked.
  core::Status acquire(const void* handle, HandleType type);
  // The same for handles whose calls hold locks while callbacks of the host run: kBusy if this
  // thread is inside a call on the handle already, or is one of the library's own.
  core::Status acquire_outermost(const void* handle, HandleType type);

  template <class T>
  [[nodiscard]] T& object() const {
    return *static_cast<T*>(object_);
  }
  // To keep the object for longer than the call.
  [[nodiscard]] std::shared_ptr<void> shared() const;

 private:
  friend bool pinned_by_this_thread(const Slot* slot, const void* handle);
  Slot* slot_ = nullptr;
  void* object_ = nullptr;
  const Pin* outer_ = nullptr;  // the pins of one thread form a chain
};

// A new handle that owns `object`. Throws std::bad_alloc when there are too many. `parent`: the
// handle it was opened from, which a call on this one may not close.
void* open_handle(HandleType type, std::shared_ptr<void> object, const void* parent = nullptr);

// Waits until no call is inside, then lets go of the object. kOk; kBusy from within a call on the
// same handle, or on a thread of the library; kHandle. In a forked child: kOk, the object is left
// alone.
core::Status close_handle(const void* handle, HandleType type);

}  // namespace satchel::abi
