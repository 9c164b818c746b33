// Payloads as they are handed out: small ones in memory, large ones as an open file that was hashed
// once and is watched since.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/file.hpp"
#include "core/file_stamp.hpp"
#include "tool_cache/payload_source.hpp"
#include "tool_cache/store.hpp"

namespace satchel::tool_cache {

// Reading changes nothing in it: several threads may share one.
class MemoryPayload final : public Payload {
 public:
  explicit MemoryPayload(std::string bytes) : bytes_(std::move(bytes)) {}

  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  core::Result<std::size_t> read(std::uint64_t offset, char* out, std::size_t capacity) override;
  core::Result<std::string_view> view() override { return std::string_view(bytes_); }

 private:
  const std::string bytes_;
};

// What the payload of an entry must be, by its meta.
struct PayloadFacts {
  std::string path;  // for messages
  std::string payload_hash;
  Encoding encoding = Encoding::kPlain;
  std::uint64_t bytes = 0;  // as returned
};

// The descriptor keeps the file's content even when the entry is replaced or removed. Written to in
// place, which nobody of ours does, its stamp changes, and what was read is hashed again before it
// counts. A write within the same tick of the file's clock as the check stays unseen by read(),
// never by view(), which hashes what it returns.
class FilePayload final : public Payload {
 public:
  FilePayload(core::UniqueFd fd, PayloadFacts facts);

  // Hashes it; kIntegrity where it is not what its meta says. To be called first.
  core::Result<void> verify();

  [[nodiscard]] std::uint64_t size() const override { return facts_.bytes; }
  core::Result<std::size_t> read(std::uint64_t offset, char* out, std::size_t capacity) override;
  core::Result<std::string_view> view() override;

 private:
  [[nodiscard]] core::Result<core::FileStamp> stamp() const;

  core::UniqueFd fd_;
  const PayloadFacts facts_;
  const std::unique_ptr<PayloadSource> source_;
  core::FileStamp verified_;
  std::optional<std::string> whole_;
};

// The answer to bytes that are not what their meta says.
core::Error integrity_error(const PayloadFacts& facts, std::string_view actual_hash);

}  // namespace satchel::tool_cache
