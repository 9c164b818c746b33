// Writes compact JSON, member by member.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace satchel::core {

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);

  // Text that is not UTF-8 is written lossily.
  JsonWriter& text(std::string_view value);
  JsonWriter& number(std::uint64_t value) { return raw(std::to_string(value)); }
  JsonWriter& number(std::int64_t value) { return raw(std::to_string(value)); }
  // The shortest decimal, with a point or an exponent: 42.3, 100.0. Finite.
  JsonWriter& number(double value);
  JsonWriter& number(float value);
  JsonWriter& boolean(bool value) { return raw(value ? "true" : "false"); }
  JsonWriter& null() { return raw("null"); }
  // A value that is JSON already.
  JsonWriter& json(std::string_view value) { return raw(value); }

  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& raw(std::string_view value);
  void separate();

  std::string out_;
  bool first_ = true;  // nothing stands before, in this object or array, or right behind a key
};

}  // namespace satchel::core
