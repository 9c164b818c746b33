// A file of vectors, plain or gzipped, and how its members are read.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

namespace vectors {

using Json = simdjson::dom::element;

class Document {
 public:
  // Throws std::runtime_error for what cannot be read, is cut short, or is not JSON.
  explicit Document(const std::string& path);
  [[nodiscard]] Json root() const { return root_; }

 private:
  simdjson::dom::parser parser_;
  Json root_;
};

// A member that is there and not null.
std::optional<Json> member(Json object, std::string_view name);

// A byte string stands under its name, or as base64 under name_base64. present(): either is there,
// be it null.
bool present(Json object, std::string_view name);
// Nothing where it is null; throws where it is missing or no string.
std::optional<std::string> bytes(Json object, std::string_view name);
// The same for one that may not be null.
std::string required_bytes(Json object, std::string_view name);

// Throw where it is missing or of another type. By value: a simdjson_result that is a temporary
// takes the array with it.
using JsonArray = simdjson::dom::array;
JsonArray array(Json value);
JsonArray array(Json object, std::string_view name);
bool boolean(Json object, std::string_view name);
std::uint64_t unsigned_integer(Json object, std::string_view name);

}  // namespace vectors
