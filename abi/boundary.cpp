#include "boundary.hpp"

#include <exception>
#include <new>
#include <system_error>

#include "core/text.hpp"

namespace satchel::abi {

using core::Error;
using core::Ok;
using core::Result;
using core::Status;

namespace {

void fill(satchel_error* error, Status status, std::int32_t os_errno, std::int32_t reason,
          std::string_view message) noexcept {
  if (error == nullptr || error->struct_size < sizeof(satchel_error)) return;
  error->status = static_cast<satchel_status>(status);
  error->os_errno = os_errno;
  error->reason = reason;
  error->reserved = 0;
  if (message.empty()) message = satchel_status_name(error->status);
  message = core::cut_at_character(message, sizeof(error->message) - 1);
  std::memcpy(error->message, message.data(), message.size());
  error->message[message.size()] = '\0';
}

satchel_status answer_exception(satchel_error* error, Status status, std::string_view message = {},
                                int os_errno = 0) noexcept {
  fill(error, status, os_errno, 0, message);
  return static_cast<satchel_status>(status);
}

}  // namespace

void report(satchel_error* error, const Error& what) noexcept {
  fill(error, what.status, what.os_errno, what.reason, what.message);
}

satchel_status caught(satchel_error* error) noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return answer_exception(error, Status::kMemory);
  } catch (const std::system_error& refused) {
    // A thread could not be started: the host's process has as many as it may.
    return answer_exception(error, Status::kIo, refused.what(), refused.code().value());
  } catch (const std::exception& defect) {
    return answer_exception(error, Status::kInternal, defect.what());
  } catch (...) {
    return answer_exception(error, Status::kInternal);
  }
}

Error argument_error(const char* what, const char* why) {
  return {Status::kArgument, std::string(what) + ": " + why, 0, 0};
}

Error handle_error(Status status, const void* handle, HandleType type) {
  const std::string name = handle_type_name(type);
  if (status == Status::kForked) {
    return {status, "this " + name + " was opened by the parent process; open one after fork", 0,
            0};
  }
  if (handle == nullptr) return {status, name + " is NULL", 0, 0};
  return {status, "not an open " + name + ": closed before, or of another type", 0, 0};
}

Error busy_error(HandleType type) {
  return {Status::kBusy,
          std::string("this ") + handle_type_name(type) +
              " is in use: one thread at a time, and not from its own callbacks",
          0, 0};
}

Status answer(satchel_error* error, Status status, std::string why) {
  if (status != Status::kOk) report(error, {status, std::move(why), 0, 0});
  return status;
}

Result<void> answered(const char* callback, satchel_status status) {
  if (status == SATCHEL_OK) return Ok{};
  return Error{Status::kCallback,
               std::string(callback) + " answered " + satchel_status_name(status), 0, 0};
}

Result<void> check_output_struct(const void* data, std::size_t known, const char* name,
                                 std::size_t first) {
  if (data == nullptr) return argument_error(name, "is NULL");
  std::size_t size = 0;
  std::memcpy(&size, data, sizeof size);
  if (size < known && (first == 0 || size != first)) {
    return Error{Status::kArgument,
                 std::string(name) + ".struct_size is " + std::to_string(size) +
                     ", expected at least " + std::to_string(known),
                 0, 0};
  }
  return Ok{};
}

Result<void> check_input_struct(const void* data, std::size_t known, const char* name,
                                std::size_t first) {
  if (Result<void> checked = check_output_struct(data, known, name, first); !checked) {
    return checked;
  }
  std::size_t size = 0;
  std::memcpy(&size, data, sizeof size);
  if (size <= known) return Ok{};
  // A struct_size that was never set is garbage more often than a newer header.
  constexpr std::size_t kMost = 4096;
  if (size > kMost) {
    return Error{Status::kArgument,
                 std::string(name) + ".struct_size is " + std::to_string(size) +
                     ", expected at most " + std::to_string(kMost),
                 0, 0};
  }
  const auto* bytes = static_cast<const unsigned char*>(data);
  const bool zero =
      std::all_of(bytes + known, bytes + size, [](unsigned char b) { return b == 0; });
  if (!zero) {
    return Error{Status::kArgument,
                 std::string(name) + " has fields that this library (ABI " +
                     std::to_string(SATCHEL_ABI_VERSION) + ") does not know",
                 0, 0};
  }
  return Ok{};
}

Result<std::string_view> bytes_of(const char* data, std::size_t len, const char* name) {
  if (data == nullptr && len != 0) return argument_error(name, "is NULL with a length");
  if (len > static_cast<std::size_t>(PTRDIFF_MAX)) return argument_error(name, "is too long");
  return data == nullptr ? std::string_view{} : std::string_view(data, len);
}

void fill_buffer(satchel_buffer* buffer, std::string&& bytes) {
  auto owned = std::make_unique<std::string>(std::move(bytes));
  satchel_buffer_free(buffer);
  buffer->data = owned->data();
  buffer->len = owned->size();
  buffer->owner = owned.release();
}

}  // namespace satchel::abi
