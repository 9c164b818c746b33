#include "tool_cache/payload_file.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "core/blake3.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::size_t kPiece = 1 << 20;
// How often a file that changes while it is read is looked at again.
constexpr int kLooks = 4;

std::size_t copy_out(std::string_view bytes, std::uint64_t offset, char* out,
                     std::size_t capacity) {
  if (offset >= bytes.size()) return 0;
  return bytes.copy(out, capacity, static_cast<std::size_t>(offset));
}

core::Error changed_while_read(const PayloadFacts& facts) {
  return {core::Status::kIntegrity, facts.path + " was written to while it was read"};
}

}  // namespace

core::Error integrity_error(const PayloadFacts& facts, std::string_view actual_hash) {
  std::string message = facts.path + " is not what its meta says: its BLAKE3 is ";
  message.append(actual_hash).append(", not ").append(facts.payload_hash, 0, 80);
  return {core::Status::kIntegrity, std::move(message)};
}

core::Result<std::size_t> MemoryPayload::read(std::uint64_t offset, char* out,
                                              std::size_t capacity) {
  return copy_out(bytes_, offset, out, capacity);
}

FilePayload::FilePayload(core::UniqueFd fd, PayloadFacts facts)
    : fd_(std::move(fd)),
      facts_(std::move(facts)),
      source_(payload_source(fd_.get(), facts_.path, facts_.encoding, facts_.bytes)) {}

core::Result<core::FileStamp> FilePayload::stamp() const {
  if (std::optional<core::FileStamp> now = core::stamp_of(fd_.get())) return *now;
  return core::io_error("cannot stat " + facts_.path, errno);
}

core::Result<void> FilePayload::verify() {
  std::vector<char> piece(kPiece);
  for (int look = 0; look < kLooks; ++look) {
    core::Result<core::FileStamp> before = stamp();
    if (!before.ok()) return before.take_error();
    core::Blake3 hash;
    std::uint64_t offset = 0;
    for (;;) {
      core::Result<std::size_t> n = source_->read(offset, piece.data(), piece.size());
      if (!n.ok()) return n.take_error();
      if (*n == 0) break;
      hash.update({piece.data(), *n});
      offset += *n;
    }
    core::Result<core::FileStamp> after = stamp();
    if (!after.ok()) return after.take_error();
    if (*after != *before) continue;
    const core::Hash256 digest = hash.digest();
    const std::string actual = core::hex(digest.data(), digest.size());
    if (actual != facts_.payload_hash || offset != facts_.bytes) {
      return integrity_error(facts_, actual);
    }
    verified_ = *after;
    return {};
  }
  return changed_while_read(facts_);
}

core::Result<std::size_t> FilePayload::read(std::uint64_t offset, char* out, std::size_t capacity) {
  if (whole_) return copy_out(*whole_, offset, out, capacity);
  for (int look = 0; look < kLooks; ++look) {
    core::Result<std::size_t> n = source_->read(offset, out, capacity);
    core::Result<core::FileStamp> now = stamp();
    if (!now.ok()) return now.take_error();
    if (*now == verified_) return n;
    // Removed, replaced or linked, which changes no byte; or written to. The hash knows.
    if (core::Result<void> same = verify(); !same.ok()) return same.take_error();
  }
  return changed_while_read(facts_);
}

core::Result<std::string_view> FilePayload::view() {
  if (whole_) return std::string_view(*whole_);
  std::string bytes;
  bytes.resize(static_cast<std::size_t>(facts_.bytes));
  core::Result<std::size_t> n = source_->read(0, bytes.data(), bytes.size());
  if (!n.ok()) return n.take_error();
  bytes.resize(*n);
  const core::Hash256 digest = core::blake3(bytes);
  const std::string actual = core::hex(digest.data(), digest.size());
  if (actual != facts_.payload_hash) return integrity_error(facts_, actual);
  whole_ = std::move(bytes);
  return std::string_view(*whole_);
}

}  // namespace satchel::tool_cache
