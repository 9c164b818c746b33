#include "tool_input.hpp"

#include <utility>
#include <vector>

#include "boundary.hpp"
#include "core/clock.hpp"

namespace satchel::abi {

using core::Result;
using tool_cache::Call;
using tool_cache::Key;
using tool_cache::Meta;
using tool_cache::Root;

namespace {

std::string element(const char* array, std::size_t index, const char* member = "") {
  return std::string(array) + "[" + std::to_string(index) + "]" + member;
}

// The names of elements are made where one is wrong, and not for each that is right.
Result<std::vector<Root>> read_roots(const satchel_root* roots, std::size_t count) {
  if (const auto given = items_of(roots, count, "roots"); !given) return given.error();
  std::vector<Root> read;
  for (std::size_t i = 0; i < count; ++i) {
    const satchel_view& path = roots[i].path;
    const satchel_view& hash = roots[i].expected_hash;
    const Result<std::string_view> path_bytes = read_path(path.data, path.len, "path");
    if (!path_bytes) {
      return read_path(path.data, path.len, element("roots", i, ".path").c_str()).error();
    }
    const Result<std::string_view> hash_bytes = bytes_of(hash.data, hash.len, "expected_hash");
    if (!hash_bytes) {
      return bytes_of(hash.data, hash.len, element("roots", i, ".expected_hash").c_str()).error();
    }
    read.push_back({std::string(*path_bytes), std::string(*hash_bytes)});
  }
  return read;
}

Result<std::vector<std::string>> read_upstreams(const satchel_view* upstreams, std::size_t count) {
  if (const auto given = items_of(upstreams, count, "upstreams"); !given) return given.error();
  std::vector<std::string> read;
  for (std::size_t i = 0; i < count; ++i) {
    const satchel_view& upstream = upstreams[i];
    if (!read_key(upstream.data, upstream.len, "upstreams")) {
      return read_key(upstream.data, upstream.len, element("upstreams", i).c_str()).error();
    }
    read.emplace_back(upstream.data, upstream.len);
  }
  return read;
}

}  // namespace

Result<Key> read_key(const char* key, std::size_t len, const char* name) {
  const Result<std::string_view> text = bytes_of(key, len, name);
  if (!text) return text.error();
  Result<Key> parsed = Key::parse(*text);
  if (!parsed) return argument_error(name, parsed.error().message.c_str());
  return parsed;
}

Result<std::string_view> read_path(const char* path, std::size_t len, const char* name) {
  Result<std::string_view> bytes = bytes_of(path, len, name);
  if (bytes && bytes->find('\0') != std::string_view::npos) {
    return argument_error(name, "holds a NUL byte");
  }
  return bytes;
}

Result<Meta> read_tool_meta(const satchel_tool_meta* meta) {
  if (Result<void> checked = check_input_struct(meta, sizeof *meta, "meta"); !checked) {
    return checked.take_error();
  }
  const Result<std::string_view> kind = bytes_of(meta->kind.data, meta->kind.len, "kind");
  if (!kind) return kind.error();
  Result<std::vector<Root>> roots = read_roots(meta->roots, meta->root_count);
  if (!roots) return roots.take_error();
  Result<std::vector<std::string>> upstreams =
      read_upstreams(meta->upstreams, meta->upstream_count);
  if (!upstreams) return upstreams.take_error();
  Meta read;
  read.tool_kind = *kind;
  read.file_roots = std::move(*roots);
  read.upstream_keys = std::move(*upstreams);
  return read;
}

Result<Call> read_tool_call(const satchel_tool_call* call) {
  if (Result<void> checked = check_input_struct(call, sizeof *call, "call"); !checked) {
    return checked.take_error();
  }
  const Result<std::string_view> kind = bytes_of(call->kind.data, call->kind.len, "kind");
  if (!kind) return kind.error();
  const Result<std::string_view> summary =
      bytes_of(call->args_summary.data, call->args_summary.len, "args_summary");
  if (!summary) return summary.error();
  Result<std::vector<Root>> roots = read_roots(call->roots, call->root_count);
  if (!roots) return roots.take_error();
  Call read;
  read.kind = *kind;
  read.args_summary = *summary;
  read.roots = std::move(*roots);
  read.wait_ns = call->wait_ms * core::kNanosPerMilli;
  read.lease_ns = call->lease_ms * core::kNanosPerMilli;
  return read;
}

}  // namespace satchel::abi
