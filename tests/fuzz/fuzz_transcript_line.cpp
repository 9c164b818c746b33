// Any bytes as the lines of a transcript. A second reader of the rules, over the tape of
// core/json_tape.hpp, gives the same answer wherever the tape reads the line; where it does not and
// the line counts all the same, the reason is one of those that serde does not see in what it
// ignores. A line says the same wherever it stands and however it ends.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "cascade/transcript_line.hpp"
#include "core/json_tape.hpp"

namespace {

using satchel::cascade::kTranscriptPadding;
using satchel::cascade::MessageTokens;
using satchel::cascade::TranscriptLine;
using satchel::cascade::TranscriptLineReader;
using satchel::core::JsonCursor;
using satchel::core::JsonTape;
using satchel::core::JsonValue;

void require(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

// What a line says, in texts of its own.
struct Said {
  satchel::core::Timestamp time;
  std::optional<std::string> id;
  std::optional<std::string> model;
  std::optional<MessageTokens> usage;

  bool operator==(const Said&) const = default;
};

std::optional<Said> said(const TranscriptLine* line) {
  if (line == nullptr) return std::nullopt;
  Said said{line->time, {}, {}, line->usage};
  if (line->id) said.id = *line->id;
  if (line->model) said.model = *line->model;
  if (said.usage) said.usage->cache_creation_1h = 0;  // not the reference's
  return said;
}

// ---- the second reader ----

// A struct of serde: `fields` names them in order; `take(i, value)` reads one.
template <std::size_t N, class Take>
bool read_struct(JsonValue value, const std::string_view (&fields)[N], std::size_t required,
                 Take take) {
  bool seen[N] = {};
  if (value.is_array()) {
    std::size_t i = 0;
    for (JsonCursor c(value); c.valid(); c.next(), ++i) {
      if (i == N || !take(i, c.value())) return false;
    }
    return i >= required;
  }
  if (!value.is_object()) return false;
  for (JsonCursor c(value); c.valid(); c.next()) {
    for (std::size_t i = 0; i < N; ++i) {
      if (!c.key().text_equals(fields[i])) continue;
      if (seen[i] || !take(i, c.value())) return false;
      seen[i] = true;
    }
  }
  return std::all_of(seen, seen + required, [](bool one) { return one; });
}

bool read_time(JsonValue value, satchel::core::Timestamp* out) {
  if (!value.is_string()) return false;
  std::string storage;
  const auto time = satchel::core::parse_timestamp(value.text(storage));
  if (time && out != nullptr) *out = *time;
  return time.has_value();
}

bool read_text(JsonValue value, std::optional<std::string>& out) {
  if (value.is_null()) return true;
  if (!value.is_string()) return false;
  std::string storage;
  out = std::string(value.text(storage));
  return true;
}

bool read_usage(JsonValue value, std::optional<MessageTokens>& out) {
  static constexpr std::string_view kFields[] = {
      "input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"};
  if (value.is_null()) return true;
  out.emplace();
  std::uint64_t* const counts[] = {&out->input, &out->output, &out->cache_creation,
                                   &out->cache_read};
  return read_struct(value, kFields, 0,
                     [&](std::size_t i, JsonValue count) { return count.as_u64(counts[i]); });
}

std::optional<Said> second_opinion(JsonValue root) {
  static constexpr std::string_view kFields[] = {"timestamp", "message", "usageLimitResetTime"};
  static constexpr std::string_view kMessage[] = {"usage", "model", "id"};
  Said said;
  const auto message = [&](std::size_t i, JsonValue value) {
    return i == 0 ? read_usage(value, said.usage) : read_text(value, i == 1 ? said.model : said.id);
  };
  const bool counts = read_struct(root, kFields, 2, [&](std::size_t i, JsonValue value) {
    if (i == 0) return read_time(value, &said.time);
    if (i == 1) return read_struct(value, kMessage, 0, message);
    return value.is_null() || read_time(value, nullptr);
  });
  if (!counts) return std::nullopt;
  return said;
}

// ---- the first ----

std::optional<Said> alone(std::string_view line, std::string_view before, std::string_view behind) {
  std::string buffer = std::string(before) + std::string(line) + std::string(behind) + "\n";
  const std::size_t size = buffer.size();
  buffer.append(kTranscriptPadding, '"');
  TranscriptLineReader reader;
  const char* at = buffer.data();
  const std::optional<Said> first = said(reader.read(at, buffer.data() + size));
  require(at == buffer.data() + size, "a line ends behind its line feed");
  return first;
}

void check_line(std::string_view line, const std::optional<Said>& found) {
  require(alone(line, "", "") == found, "a line says the same alone");
  require(alone(line, " \t", "\r") == found, "white space around a line changes nothing");
  JsonTape tape;
  const satchel::core::Result<void> read = tape.read(line);
  if (read) {
    require(second_opinion(tape.root()) == found, "two readers agree");
  } else if (found) {
    const std::string& why = read.error().message;
    const bool ignored = why.find("nested too deeply") == 0 || why.find("lone surrogate") == 0 ||
                         why.find("invalid UTF-8") == 0 || why.find("number") != std::string::npos;
    require(ignored, "a line that counts is JSON but for what serde ignores");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string buffer(reinterpret_cast<const char*>(data), size);
  buffer += '\n';
  const std::size_t length = buffer.size();
  buffer.append(kTranscriptPadding, '\\');
  TranscriptLineReader reader;
  const char* const end = buffer.data() + length;
  for (const char* at = buffer.data(); at < end;) {
    const char* const begin = at;
    const std::optional<Said> found = said(reader.read(at, end));
    require(at > begin && at <= end && at[-1] == '\n', "a line ends behind its line feed");
    const std::string_view line(begin, static_cast<std::size_t>(at - 1 - begin));
    require(line.find('\n') == std::string_view::npos, "a line has one line feed");
    check_line(line, found);
  }
  return 0;
}
