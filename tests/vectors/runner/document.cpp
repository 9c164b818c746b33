#include "document.hpp"

#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace vectors {

namespace {

struct CloseGzip {
  void operator()(gzFile file) const { gzclose(file); }
};

// zlib hands a file that is not gzipped through as it is.
std::string read_file(const std::string& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, CloseGzip> file(gzopen(path.c_str(), "rb"));
  if (!file) throw std::runtime_error(std::strerror(errno != 0 ? errno : ENOMEM));
  std::string text;
  std::array<char, 64 * 1024> chunk;
  int got = 0;
  while ((got = gzread(file.get(), chunk.data(), chunk.size())) > 0) {
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  int code = Z_OK;
  const char* message = gzerror(file.get(), &code);
  if (code == Z_ERRNO) throw std::runtime_error(std::strerror(errno));
  // Z_BUF_ERROR: the compressed data ended in the middle, which gzread does not call a failure.
  if (got < 0 || code != Z_OK) throw std::runtime_error(message);
  return text;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

std::string decode_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string out;
  std::uint32_t pending = 0;
  int bits = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) throw std::runtime_error("not base64");
    pending = (pending << 6) | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<char>((pending >> bits) & 0xff));
    }
  }
  return out;
}

Json require(Json object, std::string_view name) {
  const auto found = object.at_key(name);
  if (found.error() != simdjson::SUCCESS) {
    throw std::runtime_error("the case has no member \"" + std::string(name) + "\"");
  }
  return found.value_unsafe();
}

template <class T>
T typed(Json object, std::string_view name) {
  const auto value = require(object, name).get<T>();
  if (value.error() != simdjson::SUCCESS) {
    throw std::runtime_error("\"" + std::string(name) + "\" is of another type than expected");
  }
  return value.value_unsafe();
}

std::string base64_name(std::string_view name) { return std::string(name) + "_base64"; }

}  // namespace

Document::Document(const std::string& path) {
  const auto parsed = parser_.parse(read_file(path));
  if (parsed.error() != simdjson::SUCCESS) {
    throw std::runtime_error(std::string("not JSON: ") + simdjson::error_message(parsed.error()));
  }
  root_ = parsed.value_unsafe();
}

std::optional<Json> member(Json object, std::string_view name) {
  const auto found = object.at_key(name);
  if (found.error() != simdjson::SUCCESS || found.value_unsafe().is_null()) return std::nullopt;
  return found.value_unsafe();
}

bool present(Json object, std::string_view name) {
  return object.at_key(name).error() == simdjson::SUCCESS ||
         object.at_key(base64_name(name)).error() == simdjson::SUCCESS;
}

std::optional<std::string> bytes(Json object, std::string_view name) {
  const std::string encoded = base64_name(name);
  if (member(object, encoded)) return decode_base64(typed<std::string_view>(object, encoded));
  if (object.at_key(encoded).error() == simdjson::SUCCESS) return std::nullopt;
  if (require(object, name).is_null()) return std::nullopt;
  return std::string(typed<std::string_view>(object, name));
}

std::string required_bytes(Json object, std::string_view name) {
  std::optional<std::string> found = bytes(object, name);
  if (!found) throw std::runtime_error("\"" + std::string(name) + "\" is null");
  return *std::move(found);
}

JsonArray array(Json value) {
  const auto found = value.get_array();
  if (found.error() != simdjson::SUCCESS) throw std::runtime_error("expected an array");
  return found.value_unsafe();
}

JsonArray array(Json object, std::string_view name) { return array(require(object, name)); }

bool boolean(Json object, std::string_view name) { return typed<bool>(object, name); }

std::uint64_t unsigned_integer(Json object, std::string_view name) {
  return typed<std::uint64_t>(object, name);
}

}  // namespace vectors
