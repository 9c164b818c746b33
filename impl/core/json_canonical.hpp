// Canonical JSON: keys sorted by their bytes, the last of equal keys, no spaces, strings and
// numbers in one spelling, as serde_json 1.0.149 writes a Value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_tape.hpp"
#include "core/sha256.hpp"

namespace satchel::core {

// Writes canonical JSON into a string or into a hash. Keep one and reuse its memory.
class JsonCanonical {
 public:
  // Appends `value`. Members of the outermost object named `skip` are left out.
  void append(JsonValue value, std::string& out, std::string_view skip = {});
  // The same into a hash, without making the text in one piece. Returns the text's length.
  std::size_t hash(JsonValue value, Sha256& hash, std::string_view skip = {});

  // Gives memory beyond `bytes` back; for pools.
  void shrink(std::size_t bytes);

 private:
  struct Member {
    std::uint64_t prefix;  // first eight bytes of the name, big-endian: compares as bytes do
    std::uint32_t key;
    std::uint32_t value;
  };

  template <class Sink>
  void write(JsonValue value, Sink& sink, std::string_view skip);
  template <class Sink>
  void write_object(JsonValue object, Sink& sink, std::string_view skip);
  template <class Sink>
  void write_string(JsonValue string, Sink& sink);
  bool collect(JsonValue object, std::string_view skip);
  void sort(const JsonTape& tape, std::size_t from);

  std::vector<Member> members_;  // of all objects that are open, the innermost last
  std::string text_;
  std::string other_text_;
};

}  // namespace satchel::core
