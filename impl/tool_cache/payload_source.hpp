// The bytes of a payload as they were stored, out of a file that may hold them otherwise. Read by
// pread alone: a mapping would raise SIGBUS in the host when somebody truncates the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/result.hpp"
#include "tool_cache/meta.hpp"

namespace satchel::tool_cache {

// One thread at a time.
class PayloadSource {
 public:
  PayloadSource() = default;
  PayloadSource(const PayloadSource&) = delete;
  PayloadSource& operator=(const PayloadSource&) = delete;
  virtual ~PayloadSource() = default;

  // Fewer than `capacity` only at the end. kIntegrity where the file is not the encoding it should
  // be, kIo where it cannot be read.
  virtual core::Result<std::size_t> read(std::uint64_t offset, char* out, std::size_t capacity) = 0;
};

// Of an open file, which must outlive it. A compressed one gives exactly `bytes` bytes or
// kIntegrity, whatever it would inflate to; reading it backwards begins anew.
std::unique_ptr<PayloadSource> payload_source(int fd, std::string path, Encoding encoding,
                                              std::uint64_t bytes);

}  // namespace satchel::tool_cache
