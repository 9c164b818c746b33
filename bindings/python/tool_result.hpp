// A result that was stored.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <cstdint>

#include "arguments.hpp"

namespace satchel_python {

class ToolResult {
 public:
  explicit ToolResult(satchel_tool_result* handle) : handle_(handle) {}
  ToolResult(const ToolResult&) = delete;
  ToolResult& operator=(const ToolResult&) = delete;
  ~ToolResult();

  // (kind, payload_hash, bytes, root_count, upstream_count)
  [[nodiscard]] py::tuple info() const;
  // [(path, expected_hash)]; a path is bytes.
  [[nodiscard]] py::list roots() const;
  [[nodiscard]] py::list upstreams() const;
  [[nodiscard]] py::bytes payload() const;
  // Exactly `count` bytes from `offset`, fewer only at the end.
  [[nodiscard]] py::bytes read(std::uint64_t offset, std::uint64_t count) const;
  // Into any writable buffer; how many bytes, 0 at the end.
  [[nodiscard]] std::size_t read_into(std::uint64_t offset, const py::object& buffer) const;

 private:
  [[nodiscard]] satchel_tool_result_info get() const;

  satchel_tool_result* handle_;
};

}  // namespace satchel_python
