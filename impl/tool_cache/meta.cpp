#include "tool_cache/meta.hpp"

#include <simdjson.h>

#include <optional>
#include <utility>

#include "core/json_string.hpp"
#include "core/lowercase.hpp"
#include "core/sha256.hpp"
#include "tool_cache/json_pull.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::string_view kPathHex = "path_hex";
constexpr std::string_view kEncoding = "encoding";
constexpr std::string_view kZlibQuoted = "\"zlib\"";

bool is_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

void append_lossily(std::string& out, std::string_view text) {
  if (is_utf8(text)) {
    core::json_append_string(out, text);
  } else {
    core::json_append_string(out, core::utf8_lossy(text));
  }
}

void append_root(std::string& out, const Root& root) {
  out += "{\"path\":";
  append_lossily(out, root.path);
  out += ",\"expected_hash\":";
  append_lossily(out, root.expected_hash);
  if (!is_utf8(root.path)) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(root.path.data());
    out.append(",\"").append(kPathHex).append("\":\"");
    out.append(core::hex(bytes, root.path.size())).append("\"");
  }
  out += '}';
}

// The path that `raw`, a member "path_hex", stands for, if it is what we write beside `lossy`. Else
// it is a stranger's, and means as little to us as to the reference: nobody may show the reference
// one root and us another.
std::optional<std::string> exact_path(std::string_view raw, std::string_view lossy) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (raw.size() < 4 || raw.size() % 2 != 0 || raw.front() != '"') return std::nullopt;
  std::string path;
  path.reserve(raw.size() / 2);
  for (std::size_t i = 1; i + 1 < raw.size(); i += 2) {
    const int high = digit(raw[i]);
    const int low = digit(raw[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    path.push_back(static_cast<char>(high << 4 | low));
  }
  if (is_utf8(path) || core::utf8_lossy(path) != lossy) return std::nullopt;
  return path;
}

// What serde's derived Deserialize does with a struct: an object whose names it knows come once and
// others are passed over, or an array of the values in order, of which those with a default may be
// missing at its end.
class StructReader {
 public:
  StructReader(JsonPull& json, std::size_t fields) : json_(json), fields_(fields) {}

  // name -> number of the field, or -1; read(number) moves over its value; skipped(name, raw).
  template <class NumberOf, class Read, class Skipped>
  bool read(NumberOf number_of, Read read_field, Skipped skipped) {
    const char bracket = json_.open();
    if (bracket == 0) return json_.fail("an object");
    bool more = false;
    for (std::size_t i = 0;; ++i) {
      if (!json_.next(bracket, i == 0, &more)) return false;
      if (!more) return true;
      int number = static_cast<int>(i);
      if (bracket == '{') {
        if (!json_.name(&name_)) return false;
        number = number_of(name_);
        if (number < 0) {
          std::string_view raw;
          if (!json_.skip(&raw)) return false;
          skipped(std::string_view(name_), raw);
          continue;
        }
        if (seen(number)) return json_.fail("no second \"" + name_ + "\"");
      } else if (i >= fields_) {
        return json_.fail("']'");
      }
      if (!read_field(number)) return false;
      seen_ |= 1U << number;
    }
  }

  [[nodiscard]] bool seen(int number) const { return (seen_ >> number & 1U) != 0; }

 private:
  JsonPull& json_;
  const std::size_t fields_;
  unsigned seen_ = 0;
  std::string name_;
};

template <class T, class ReadElement>
bool read_list(JsonPull& json, std::vector<T>& out, ReadElement read_element) {
  const char bracket = json.open();
  if (bracket != '[') return json.fail("an array");
  bool more = false;
  for (bool first = true;; first = false) {
    if (!json.next(bracket, first, &more)) return false;
    if (!more) return true;
    if (!read_element(&out.emplace_back())) return false;
  }
}

bool read_root(JsonPull& json, Root* root) {
  std::string exact;
  const auto number_of = [](std::string_view name) {
    return name == "path" ? 0 : name == "expected_hash" ? 1 : -1;
  };
  const auto read = [&](int number) {
    return json.string(number == 0 ? &root->path : &root->expected_hash);
  };
  const auto skipped = [&](std::string_view name, std::string_view raw) {
    if (name == kPathHex) exact = raw;
  };
  StructReader reader(json, 2);
  if (!reader.read(number_of, read, skipped)) return false;
  if (!reader.seen(0)) return json.fail("\"path\" of a root");
  if (!reader.seen(1)) return json.fail("\"expected_hash\" of a root");
  if (std::optional<std::string> path = exact_path(exact, root->path)) {
    root->path = std::move(*path);
  }
  return true;
}

bool read_struct(JsonPull& json, Meta* meta) {
  static constexpr std::string_view kNames[] = {"payload_hash", "bytes", "tool_kind", "file_roots",
                                                "upstream_keys"};
  constexpr int kRequired = 3;
  const auto number_of = [](std::string_view name) {
    for (int i = 0; i < 5; ++i) {
      if (name == kNames[i]) return i;
    }
    return -1;
  };
  const auto read = [&](int number) {
    switch (number) {
      case 0:
        return json.string(&meta->payload_hash);
      case 1:
        return json.unsigned_integer(&meta->bytes);
      case 2:
        return json.string(&meta->tool_kind);
      case 3:
        return read_list(json, meta->file_roots, [&](Root* root) { return read_root(json, root); });
      default:
        return read_list(json, meta->upstream_keys,
                         [&](std::string* key) { return json.string(key); });
    }
  };
  const auto skipped = [&](std::string_view name, std::string_view raw) {
    if (name != kEncoding) return;
    meta->encoding = raw == kZlibQuoted ? Encoding::kZlib : Encoding::kPlain;
  };
  StructReader reader(json, 5);
  if (!reader.read(number_of, read, skipped)) return false;
  for (int i = 0; i < kRequired; ++i) {
    if (!reader.seen(i)) return json.fail('"' + std::string(kNames[i]) + '"');
  }
  return true;
}

}  // namespace

std::string write_meta(const Meta& meta) {
  std::string out = "{\"payload_hash\":";
  append_lossily(out, meta.payload_hash);
  out.append(",\"bytes\":").append(std::to_string(meta.bytes)).append(",\"tool_kind\":");
  append_lossily(out, meta.tool_kind);
  out += ",\"file_roots\":[";
  for (const Root& root : meta.file_roots) {
    if (&root != meta.file_roots.data()) out += ',';
    append_root(out, root);
  }
  out += "],\"upstream_keys\":[";
  for (const std::string& key : meta.upstream_keys) {
    if (&key != meta.upstream_keys.data()) out += ',';
    append_lossily(out, key);
  }
  out += ']';
  if (meta.encoding == Encoding::kZlib) {
    out.append(",\"").append(kEncoding).append("\":").append(kZlibQuoted);
  }
  out += '}';
  return out;
}

core::Result<Meta> read_meta(std::string_view text) {
  Meta meta;
  JsonPull json(text);
  if (read_struct(json, &meta) && json.end()) return meta;
  return core::Error{core::Status::kMeta, "not the meta of an entry: " + json.error()};
}

}  // namespace satchel::tool_cache
