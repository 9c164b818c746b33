#include "prompt_cache/tokenizer_wire.hpp"

#include <limits>
#include <optional>
#include <utility>

#include "core/json_string.hpp"
#include "core/json_tape.hpp"

namespace satchel::prompt_cache {

using core::Error;
using core::JsonCursor;
using core::JsonTape;
using core::JsonValue;
using core::Result;

namespace {

Error bad(const char* what) {
  return tokenizer_error(TokenizerFault::kBadAnswer,
                         std::string("the answer cannot be understood: ") + what);
}

Result<JsonValue> read_object(JsonTape& tape, std::string_view body) {
  if (!tape.read(body)) return bad("no JSON");
  if (!tape.root().is_object()) return bad("no object");
  return tape.root();
}

bool read_u32(JsonValue value, std::uint32_t& number) {
  std::uint64_t wide = 0;
  if (!value.exists() || !value.as_u64(&wide)) return false;
  if (wide > std::numeric_limits<std::uint32_t>::max()) return false;
  number = static_cast<std::uint32_t>(wide);
  return true;
}

// A list of numbers; nothing where it is anything else.
std::optional<std::vector<std::uint32_t>> read_u32s(JsonValue list) {
  if (!list.is_array()) return std::nullopt;
  std::vector<std::uint32_t> numbers;
  for (JsonCursor cursor(list); cursor.valid(); cursor.next()) {
    if (!read_u32(cursor.value(), numbers.emplace_back())) return std::nullopt;
  }
  return numbers;
}

void append_prefix(std::string& out, const Prefix& prefix) {
  out += '{';
  const auto member = [&](const char* name, std::int64_t value) {
    if (value < 0) return;
    if (out.back() != '{') out += ',';
    out.append("\"").append(name).append("\":").append(std::to_string(value));
  };
  member("tools", prefix.tools);
  member("message", prefix.message);
  member("block", prefix.block);
  member("tool_call", prefix.tool_call);
  out += '}';
}

// The sums and the total are what the counts of the segments make them.
bool agrees(const std::vector<std::uint32_t>& cumulative, JsonValue counts, JsonValue total) {
  const auto segments = read_u32s(counts);
  std::uint32_t sum = 0;
  if (!segments || segments->size() != cumulative.size() || !read_u32(total, sum)) return false;
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < cumulative.size(); ++i) {
    so_far += (*segments)[i];
    if (cumulative[i] != so_far) return false;
  }
  return sum == so_far;
}

}  // namespace

std::string tokenize_body(std::string_view model, std::span<const Segment> segments) {
  std::string body = R"({"virtual_model":)";
  core::json_append_string(body, model);
  body += R"(,"segments":[)";
  bool first = true;
  for (const Segment& segment : segments) {
    if (!std::exchange(first, false)) body += ',';
    core::json_append_string(body, segment.text);
  }
  return body += "]}";
}

std::string render_body(std::string_view model, const RenderRequest& request) {
  std::string body = R"({"virtual_model":)";
  core::json_append_string(body, model);
  body.append(R"(,"messages":)").append(request.messages);
  if (!request.tools.empty()) body.append(R"(,"tools":)").append(request.tools);
  body += R"(,"add_generation_prompt":true,"prefixes":[)";
  bool first = true;
  for (const Prefix& prefix : request.prefixes) {
    if (!std::exchange(first, false)) body += ',';
    append_prefix(body, prefix);
  }
  return body += R"(],"return_rendered":false})";
}

Result<std::vector<ModelVersions>> read_versions(std::string_view body) {
  JsonTape tape;
  const Result<JsonValue> root = read_object(tape, body);
  if (!root) return root.error();
  const JsonValue models = root->member("models");
  if (!models.is_array()) return bad("no list of models");
  std::vector<ModelVersions> known;
  std::string storage;
  for (JsonCursor cursor(models); cursor.valid(); cursor.next()) {
    const JsonValue alias = cursor.value().member("alias");
    const JsonValue tokenizer = cursor.value().member("tokenizer_version");
    const JsonValue chat_template = cursor.value().member("template_version");
    const bool has_template = chat_template.exists() && !chat_template.is_null();
    if (!alias.is_string() || !tokenizer.is_string() || tokenizer.text(storage).empty() ||
        (has_template && !chat_template.is_string())) {
      return bad("a model without its alias or version");
    }
    ModelVersions& model = known.emplace_back();
    model.model = alias.text(storage);
    model.tokenizer = tokenizer.text(storage);
    if (has_template) model.chat_template = chat_template.text(storage);
  }
  return known;
}

Result<std::vector<std::uint32_t>> read_token_counts(std::string_view body) {
  JsonTape tape;
  const Result<JsonValue> root = read_object(tape, body);
  if (!root) return root.error();
  std::optional<std::vector<std::uint32_t>> cumulative = read_u32s(root->member("cumulative"));
  if (!cumulative) return bad("no list of cumulative counts");
  if (!agrees(*cumulative, root->member("segment_counts"), root->member("total"))) {
    return bad("its counts contradict each other");
  }
  return std::move(*cumulative);
}

Result<RenderCounts> read_render_counts(std::string_view body) {
  JsonTape tape;
  const Result<JsonValue> root = read_object(tape, body);
  if (!root) return root.error();
  RenderCounts counts;
  if (!read_u32(root->member("total"), counts.total)) return bad("no total");
  const JsonValue prefixes = root->member("prefix_counts");
  if (!prefixes.is_array()) return bad("no list of counts");
  for (JsonCursor cursor(prefixes); cursor.valid(); cursor.next()) {
    std::optional<std::uint32_t>& count = counts.prefixes.emplace_back();
    if (cursor.value().is_null()) continue;
    if (!read_u32(cursor.value(), count.emplace())) return bad("a count that is no number");
  }
  return counts;
}

// By the words in the body, as the reference does: proxies in between wrap it in their own.
TokenizerFault fault_of_tokenize(int status, std::string_view body) {
  const bool unmapped = status == 422 && body.find("UNMAPPED_MODEL") != std::string_view::npos;
  return unmapped ? TokenizerFault::kUnmapped : TokenizerFault::kBadAnswer;
}

TokenizerFault fault_of_render(int status, std::string_view body) {
  if (status == 400) return TokenizerFault::kRenderFailed;
  if (status == 422 && body.find("NO_CHAT_TEMPLATE") != std::string_view::npos) {
    return TokenizerFault::kNoTemplate;
  }
  return fault_of_tokenize(status, body);
}

}  // namespace satchel::prompt_cache
