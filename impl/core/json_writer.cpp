#include "core/json_writer.hpp"

#include <array>
#include <charconv>

#include "core/json_number.hpp"
#include "core/json_string.hpp"
#include "core/lowercase.hpp"

namespace satchel::core {

void JsonWriter::separate() {
  if (!first_) out_ += ',';
  first_ = false;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  out_ += bracket;
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  text(name);
  out_ += ':';
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::text(std::string_view value) {
  separate();
  json_append_string(out_, utf8_lossy(value));
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  separate();
  append_json_double(out_, value);
  return *this;
}

// The digits that tell this float from its neighbours are far fewer than a double holds.
JsonWriter& JsonWriter::number(float value) {
  std::array<char, 32> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  double wide = 0;
  std::from_chars(digits.data(), written.ptr, wide);
  return number(wide);
}

JsonWriter& JsonWriter::raw(std::string_view value) {
  separate();
  out_ += value;
  return *this;
}

}  // namespace satchel::core
