#include "tool_cache/fingerprint_proof.hpp"

#include <cerrno>
#include <optional>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "tool_cache/writers.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::Result;

namespace {

// Longer than any page fault waits: what writers_of() cannot see on an overlay.
constexpr std::int64_t kOverlayPatience = 2 * core::kNanosPerSecond;

// Conditions 1 to 3, `stamp` having been taken at `now_ns` or later.
Proof provable(int fd, Form form, const core::FileStamp& stamp, std::int64_t now_ns,
               Effort effort) {
  const bool content = form == Form::kContent;
  if (effort == Effort::kNoProof) return Proof::kNever;
  if (!core::settled(stamp, now_ns)) return Proof::kLater;
  if (!core::stamps_betray_changes(fd, content)) return Proof::kNever;
  if (!content) return Proof::kProven;
  switch (writers_of(fd, effort == Effort::kProof)) {
    case Writers::kNone:
      break;
    case Writers::kSome:
      return Proof::kLater;
    case Writers::kUnknown:
      return Proof::kNever;
  }
  return on_overlay(fd) && !core::settled(stamp, now_ns - kOverlayPatience) ? Proof::kLater
                                                                            : Proof::kProven;
}

}  // namespace

Result<Hashed> hash_with_proof(const std::string& path, Form form, Effort effort) {
  Result<core::UniqueFd> fd = open_for_fingerprint(path, form);
  if (!fd) return fd.take_error();
  Hashed hashed;
  hashed.epoch = core::clock_epoch();
  const std::int64_t now_ns = core::file_clock_ns();
  const std::optional<core::FileStamp> before = core::stamp_of(fd->get());
  if (!before) return core::io_error("stat " + path, errno);
  hashed.stamp = *before;
  hashed.proof = provable(fd->get(), form, *before, now_ns, effort);
  if (hashed.proof != Proof::kProven && effort == Effort::kProof) return hashed;

  Result<std::string> done =
      form == Form::kContent ? fingerprint_content(fd->get()) : fingerprint_directory(fd->get());
  if (!done) {
    Error error = done.take_error();
    error.message += " (" + path + ")";
    return error;
  }
  hashed.fingerprint = std::move(*done);
  if (hashed.proof == Proof::kProven && core::stamp_of(fd->get()) != before)
    hashed.proof = Proof::kLater;
  return hashed;
}

}  // namespace satchel::tool_cache
