#include "tool_cache/remote_wire.hpp"

#include <utility>

#include "core/base64.hpp"
#include "core/json_tape.hpp"
#include "core/json_writer.hpp"
#include "core/text.hpp"
#include "tool_cache/remote_entry.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::JsonCursor;
using core::JsonTape;
using core::JsonValue;
using core::JsonWriter;
using core::Result;
using core::Status;

namespace {

constexpr std::size_t kMaxReason = 200;  // of what a server says goes into the log

Error no_answer(std::string_view what) {
  return {Status::kIo, "the answer is none of this protocol: " + std::string(what), 0, 0};
}

Error refused(std::string why) { return {Status::kIntegrity, std::move(why), 0, 0}; }

bool read_text(JsonValue value, std::string& out) {
  if (!value.is_string()) return false;
  std::string storage;
  out = value.text(storage);
  return true;
}

// A list that may be left out, as older servers do.
template <class Read>
bool read_list(JsonValue list, Read read) {
  if (!list.exists()) return true;
  if (!list.is_array()) return false;
  for (JsonCursor at(list); at.valid(); at.next()) {
    if (!read(at.value())) return false;
  }
  return true;
}

Result<RemoteEntry> read_hit(JsonValue hit) {
  Meta meta;
  if (!read_text(hit.member("tool_kind"), meta.tool_kind)) return no_answer("a hit has no kind");
  if (!hit.member("bytes").exists() || !hit.member("bytes").as_u64(&meta.bytes)) {
    return no_answer("a hit has no size");
  }
  const bool roots = read_list(hit.member("file_roots"), [&](JsonValue root) {
    Root& read = meta.file_roots.emplace_back();
    return root.is_object() && read_text(root.member("path"), read.path) &&
           read_text(root.member("expected_hash"), read.expected_hash);
  });
  const bool upstreams = read_list(hit.member("upstream_keys"), [&](JsonValue key) {
    return read_text(key, meta.upstream_keys.emplace_back());
  });
  if (!roots || !upstreams) return no_answer("a hit has roots or upstreams of another form");
  const JsonValue text = hit.member("payload");
  if (!text.is_string()) return no_answer("a hit has no payload");
  std::string storage;
  std::optional<std::string> payload = core::base64_decode(text.text(storage));
  if (!payload) return refused("its payload is not in base64");
  // The protocol has no hash: that the bytes are the server's own is TLS's affair.
  meta.payload_hash = payload_hash_of(*payload);
  const bool may_keep = meta.upstream_keys.empty();
  Result<RemoteEntry> entry = checked_remote_entry(std::move(meta), std::move(*payload));
  if (entry) entry->may_keep = may_keep;
  return entry;
}

// The answer's object and its "kind".
Result<std::string> read_kind(JsonTape& tape, std::string_view body) {
  if (body.size() > core::kJsonMaxBytes) return no_answer("it is too long");
  if (Result<void> read = tape.read(body); !read) return no_answer("it is no JSON");
  std::string kind;
  if (!tape.root().is_object() || !read_text(tape.root().member("kind"), kind)) {
    return no_answer("it has no kind");
  }
  return kind;
}

std::string reason_in(JsonValue answer) {
  std::string reason;
  if (!read_text(answer.member("reason"), reason)) return "it does not say why";
  return core::quoted(core::cut_at_character(reason, kMaxReason));
}

}  // namespace

std::string wire_lookup(const Key& key, bool allow_shared) {
  JsonWriter json;
  json.begin_object().key("key").text(key.hex()).key("allow_shared").boolean(allow_shared);
  return json.end_object().take();
}

std::string wire_persist(const Key& key, std::string_view payload, const Meta& meta,
                         bool promote_to_shared) {
  JsonWriter json;
  json.begin_object().key("key").text(key.hex()).key("tool_kind").text(meta.tool_kind);
  json.key("payload").text(core::base64_encode(payload)).key("file_roots").begin_array();
  for (const Root& root : meta.file_roots) {
    json.begin_object().key("path").text(root.path);
    json.key("expected_hash").text(root.expected_hash).end_object();
  }
  json.end_array().key("upstream_keys").begin_array();
  for (const std::string& key_of_upstream : meta.upstream_keys) json.text(key_of_upstream);
  json.end_array().key("promote_to_shared").boolean(promote_to_shared);
  return json.end_object().take();
}

std::string wire_invalidate(const Key& key) {
  JsonWriter json;
  return json.begin_object().key("key").text(key.hex()).end_object().take();
}

Result<std::optional<RemoteEntry>> read_wire_lookup(std::string_view body) {
  JsonTape tape;
  const Result<std::string> kind = read_kind(tape, body);
  if (!kind) return kind.error();
  if (*kind == "miss" || *kind == "invalidated") return std::optional<RemoteEntry>();
  if (*kind != "hit") return no_answer("it is neither a hit nor a miss");
  Result<RemoteEntry> entry = read_hit(tape.root());
  if (!entry) return entry.take_error();
  if (!entry->may_keep && tape.root().member("from_shared").is_true()) {
    return std::optional<RemoteEntry>();
  }
  return std::optional<RemoteEntry>(std::move(*entry));
}

Result<void> read_wire_persist(std::string_view body) {
  JsonTape tape;
  const Result<std::string> kind = read_kind(tape, body);
  if (!kind) return kind.error();
  if (*kind == "stored") return {};
  if (*kind == "rejected") {
    return Error{Status::kNotStored, "the server rejects it: " + reason_in(tape.root()), 0, 0};
  }
  if (*kind == "quota_exceeded") {
    return Error{Status::kNotStored, "our share of the server is used up", 0, 0};
  }
  return no_answer("it does not say whether the entry was stored");
}

Result<void> read_wire_invalidate(std::string_view body) {
  JsonTape tape;
  std::uint64_t dropped = 0;
  if (body.size() > core::kJsonMaxBytes || !tape.read(body) || !tape.root().is_object() ||
      !tape.root().member("dropped_count").exists() ||
      !tape.root().member("dropped_count").as_u64(&dropped)) {
    return no_answer("it does not say what was dropped");
  }
  return {};
}

}  // namespace satchel::tool_cache
