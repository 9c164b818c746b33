// Values over protocols: a function that can fail returns Result<T>. An Error is built where
// the fact is known and passed on unchanged up to the ABI, which copies it into satchel_error.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace satchel::core {

// Numbers equal SATCHEL_ERR_* and the positive answers of satchel.h; abi/ asserts it.
enum class Status : std::int32_t {
  kOk = 0,
  kPassThrough = 1,
  kRejected = 2,
  kUnchanged = 3,
  kNotHandled = 4,
  kMiss = 5,
  kInvalidated = 6,
  kLeased = 7,
  kWait = 8,
  kNotStored = 9,
  kOversized = 10,
  kPending = 11,
  kArgument = -1,
  kHandle = -2,
  kState = -3,
  kConfig = -4,
  kMemory = -5,
  kIo = -6,
  kBusy = -7,
  kCallback = -8,
  kForked = -9,
  kStream = -10,
  kJson = -11,
  kTimeout = -12,
  kLimit = -13,
  kInternal = -14,
  kIntegrity = -15,
  kMeta = -16,
  kNoSpace = -17,
  kUnavailable = -18,
};

struct Error {
  Status status = Status::kInternal;
  std::string message;
  int os_errno = 0;
  int reason = 0;  // SATCHEL_MARKER_*, SATCHEL_USAGE_ERROR_*
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() { return std::get<0>(state_); }
  const T& value() const { return std::get<0>(state_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }
  Error take_error() { return std::move(std::get<1>(state_)); }

 private:
  std::variant<T, Error> state_;
};

struct Ok {};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Ok /*ok*/) {}                                           // NOLINT: implicit
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  [[nodiscard]] const Error& error() const { return error_; }
  Error take_error() { return std::move(error_); }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace satchel::core
