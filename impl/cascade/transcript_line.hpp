// One line of a transcript: whether it counts, and what it says.
//
// A line counts exactly when the reference's serde_json 1.0.149 would read it into its record
// (linesmith-core, jsonl/mod.rs): `timestamp` and `message` there and right, no known name twice,
// counts that fit u64, and all else JSON - but only as much as serde looks at what it ignores: any
// depth, any number, lone surrogates. As serde's structs do, records may also be written as arrays,
// their fields in order.
//
// Read by a scanner of our own, in one pass that finds the line's end as well. Most bytes of a
// transcript stand inside strings that nobody wants; those are looked at 64 at a time for three
// things, the quote, the backslash and control characters (transcript_string.hpp). simdjson is the
// obvious choice; it indexes all of the text first, validates UTF-8, which the reference does not
// ask for, and refuses what the reference lets pass; on demand it does not look at what it skips.
// Measured over the same 128 MB on one core: its DOM with AVX-512 2.0 GB/s, this with SSE2 2.6
// GB/s.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cascade/transcript_tokens.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

// What a line that counts says. The texts live until the next line is read.
struct TranscriptLine {
  core::Timestamp time;
  std::optional<std::string_view> id;          // message.id
  std::optional<std::string_view> request_id;  // beside the message; tolerant, not serde's
  std::optional<std::string_view> model;
  std::optional<MessageTokens> usage;
};

// How far behind the last line's end the reader may look.
constexpr std::size_t kTranscriptPadding = 64;

class TranscriptLineReader {
 public:
  // Reads the line at `at` and moves `at` to the beginning of the next. The line ends with a line
  // feed before `end`, and kTranscriptPadding bytes from `end` on can be read. Nothing: the line
  // does not count.
  const TranscriptLine* read(const char*& at, const char* end);

 private:
  bool document();
  bool record();
  bool message();
  bool usage();

  template <class Member>
  bool object(Member member);
  template <class Element>
  bool array(Element element);

  bool name(std::string_view& out);
  bool timestamp(core::Timestamp& out);
  bool optional_timestamp();
  bool optional_text(std::optional<std::string_view>& out, std::string& storage);
  bool request_id();
  bool cache_creation(std::uint64_t& one_hour);
  bool count(std::uint64_t& out);

  bool string(std::string_view& raw, bool& plain);
  bool text(std::string_view& out, std::string& storage);
  bool ignored();
  bool ignored_string();
  bool ignored_escape();
  bool ignored_number();
  bool literal(std::string_view word);
  void skip_space();

  void open(bool object);
  void close();

  const char* at_ = nullptr;
  TranscriptLine line_;
  std::string name_;
  std::string id_;
  std::string request_id_;
  std::string model_;
  std::string time_;

  // The arrays (0) and objects (1) that are open inside an ignored value, the innermost lowest.
  std::uint64_t open_ = 0;
  std::size_t depth_ = 0;
  std::vector<std::uint64_t> outer_;
};

}  // namespace satchel::cascade
