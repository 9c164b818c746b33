#include "tool_meta.hpp"

namespace satchel_python {

ToolRoots::ToolRoots(const py::iterable& pairs) {
  for (const py::handle item : pairs) {
    const auto pair = py::reinterpret_borrow<py::sequence>(item);
    texts_.emplace_back(py::object(pair[0]), "a root's path");
    const satchel_view path = texts_.back().view();
    texts_.emplace_back(py::object(pair[1]), "a root's expected_hash");
    roots_.push_back({path, texts_.back().view()});
  }
}

ToolMeta::ToolMeta(const py::object& kind, const py::iterable& roots, const py::iterable& upstreams)
    : kind_(kind, "kind"), roots_(roots) {
  for (const py::handle item : upstreams) {
    upstream_texts_.emplace_back(item, "an upstream");
    upstreams_.push_back(upstream_texts_.back().view());
  }
  meta_.kind = kind_.view();
  meta_.roots = roots_.data();
  meta_.root_count = roots_.size();
  meta_.upstreams = upstreams_.data();
  meta_.upstream_count = upstreams_.size();
}

}  // namespace satchel_python
