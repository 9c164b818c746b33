// The boundary: exceptions become statuses, errors are copied to the caller, structs and pointers
// of the caller are checked. In one place, so that every function of the ABI behaves alike.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.hpp"
#include "handles.hpp"
#include "satchel/satchel.h"

namespace satchel::abi {

void report(satchel_error* error, const core::Error& what) noexcept;
// The same for the exception that is being handled. Needs no memory: there may be none.
satchel_status caught(satchel_error* error) noexcept;

// Runs `body`, which returns Result<Status>; nothing escapes.
template <class Body>
satchel_status guarded(satchel_error* error, Body&& body) noexcept {
  try {
    core::Result<core::Status> result = std::forward<Body>(body)();
    if (result.ok()) return static_cast<satchel_status>(*result);
    report(error, result.error());
    return static_cast<satchel_status>(result.error().status);
  } catch (...) {
    return caught(error);
  }
}

core::Error argument_error(const char* what, const char* why);
core::Error handle_error(core::Status status, const void* handle, HandleType type);

// A struct that the caller passes for reading: of a size that an ABI had, and zero beyond what this
// library knows, since it could not honour it. `first`: its size in the first ABI, where it has
// grown since; a caller of then has no fields behind it.
core::Result<void> check_input_struct(const void* data, std::size_t known, const char* name,
                                      std::size_t first = 0);
// A struct that the caller passes for filling: likewise, but what we do not know is left alone.
core::Result<void> check_output_struct(const void* data, std::size_t known, const char* name,
                                       std::size_t first = 0);

// The struct as this library knows it; what a caller of the first ABI does not have is zero.
template <class T>
T read_input_struct(const T& data) {
  T read{};
  std::memcpy(&read, &data, std::min(data.struct_size, sizeof read));
  return read;
}

// Fills what the caller has of a struct; struct_size stays as it is.
template <class T>
void fill_output_struct(T* data, T now) {
  now.struct_size = data->struct_size;
  std::memcpy(data, &now, std::min(data->struct_size, sizeof now));
}

// Bytes of the caller: NULL only with length 0.
core::Result<std::string_view> bytes_of(const char* data, std::size_t len, const char* name);

// Items of the caller, likewise.
template <class T>
core::Result<std::span<const T>> items_of(const T* items, std::size_t count, const char* name) {
  if (items == nullptr && count != 0) return argument_error(name, "is NULL with a count");
  if (count > static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(T)) {
    return argument_error(name, "has a count that no array can have");
  }
  return std::span<const T>(items, count);
}

// An answer that is no error, with its reason for the caller; empty: the status says it all.
core::Status answer(satchel_error* error, core::Status status, std::string why = {});

// What a callback returned where only OK is an answer: kCallback, naming the callback.
core::Result<void> answered(const char* callback, satchel_status status);

inline satchel_view view_of(std::string_view text) { return {text.data(), text.size()}; }

// Gives the bytes to the caller; what the buffer held before is freed.
void fill_buffer(satchel_buffer* buffer, std::string&& bytes);

// An object that one thread at a time may use.
template <class T>
struct Exclusive {
  template <class... Args>
  explicit Exclusive(Args&&... args) : value(std::forward<Args>(args)...) {}
  T value;
  std::atomic<bool> busy{false};
};

// Holds an Exclusive object for the time of a call.
class Turn {
 public:
  explicit Turn(std::atomic<bool>& busy) : busy_(busy), mine_(!busy.exchange(true)) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (mine_) busy_.store(false);
  }
  [[nodiscard]] bool mine() const { return mine_; }

 private:
  std::atomic<bool>& busy_;
  const bool mine_;
};

core::Error busy_error(HandleType type);

template <class Handle>
satchel_status close_and_forget(Handle** handle, HandleType type) noexcept {
  if (handle == nullptr || *handle == nullptr) return SATCHEL_OK;
  return guarded(nullptr, [&]() -> core::Result<core::Status> {
    const core::Status status = close_handle(*handle, type);
    if (status != core::Status::kOk) return core::Error{status, {}, 0, 0};
    *handle = nullptr;
    return status;
  });
}

}  // namespace satchel::abi
