// Numbers as serde_json 1.0.149 (without `float_roundtrip`) reads and writes them.
//
// Its doubles are not always the nearest ones: digits are gathered in a u64 until the next would
// overflow, then one multiplication or division by a power of ten follows. Hashes are shared with
// systems that read numbers so; a correctly rounded reader would give other hashes.
#pragma once

#include <string>
#include <string_view>

namespace satchel::core {

struct JsonNumber {
  bool integer = false;  // fits u64 or i64 and is not -0: canonical as it stands
  double value = 0;      // of a number that is no such integer
};

// Reads one number from `at` up to `end` at the most and moves `at` behind it. Returns nullptr, or
// what is wrong with it.
const char* read_json_number(const char*& at, const char* end, JsonNumber& number);

// Appends the shortest text that reads back to the same double, in serde_json's notation.
void append_json_double(std::string& out, double value);

}  // namespace satchel::core
