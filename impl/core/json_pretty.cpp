#include "core/json_pretty.hpp"

#include <cstddef>

namespace satchel::core {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// The first place from `at` on that is no white space.
std::size_t skip_space(std::string_view json, std::size_t at) {
  while (at < json.size() && is_space(json[at])) ++at;
  return at;
}

// Behind the string that begins at `at`.
std::size_t end_of_string(std::string_view json, std::size_t at) {
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') ++at;
  }
  return at + 1;
}

void begin_line(std::string& out, std::size_t depth) {
  out += '\n';
  out.append(2 * depth, ' ');
}

}  // namespace

std::string pretty_json(std::string_view json) {
  std::string out;
  out.reserve(2 * json.size());
  std::size_t depth = 0;
  for (std::size_t at = skip_space(json, 0); at < json.size(); at = skip_space(json, at)) {
    const char c = json[at];
    if (c == '"') {
      const std::size_t end = end_of_string(json, at);
      out += json.substr(at, end - at);
      at = end;
      continue;
    }
    ++at;
    if (c == '{' || c == '[') {
      out += c;
      const std::size_t next = skip_space(json, at);
      if (next < json.size() && (json[next] == '}' || json[next] == ']')) {
        out += json[next];
        at = next + 1;
      } else {
        begin_line(out, ++depth);
      }
    } else if (c == '}' || c == ']') {
      begin_line(out, --depth);
      out += c;
    } else if (c == ',') {
      out += c;
      begin_line(out, depth);
    } else if (c == ':') {
      out += ": ";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace satchel::core
