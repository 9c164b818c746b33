// What is stored beside a payload, from Python's arguments.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <vector>

#include "arguments.hpp"

namespace satchel_python {

// Roots, borrowed while this lives: pairs of a path (bytes) and an expected hash (str).
class ToolRoots {
 public:
  explicit ToolRoots(const py::iterable& pairs);

  [[nodiscard]] const satchel_root* data() const { return roots_.data(); }
  [[nodiscard]] std::size_t size() const { return roots_.size(); }

 private:
  std::vector<Text> texts_;  // each keeps its object; the views point into that, not into this
  std::vector<satchel_root> roots_;
};

// Kind, roots and upstreams, borrowed while this lives.
class ToolMeta {
 public:
  ToolMeta(const py::object& kind, const py::iterable& roots, const py::iterable& upstreams);
  ToolMeta(const ToolMeta&) = delete;
  ToolMeta& operator=(const ToolMeta&) = delete;
  ~ToolMeta() = default;

  [[nodiscard]] const satchel_tool_meta* get() const { return &meta_; }

 private:
  Text kind_;
  ToolRoots roots_;
  std::vector<Text> upstream_texts_;
  std::vector<satchel_view> upstreams_;
  satchel_tool_meta meta_ = SATCHEL_TOOL_META_INIT;
};

}  // namespace satchel_python
