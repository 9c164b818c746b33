// A stream of server-sent events: every event passes as soon as it is complete, and of the frames
// that carry a usage object only that object is edited.
//
// An event ends with an empty line. Lines end with LF or CR LF, so an event's end is LF LF or
// LF CR LF. The reference (dwctl prompt_cache/sse.rs) knows LF LF and CR LF CR LF; a stream that
// mixes both, `\n\r\n`, ends an event here and goes on there. A CR alone ends no line in either.
//
// Every `data:` line is a document of its own, as in prompt_cache/inject.rs: OpenAI-compatible
// servers write one compact line a frame. What a frame says therefore does not depend on where its
// event begins or ends.

#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "core/json_edit.hpp"
#include "core/json_tape.hpp"
#include "core/text.hpp"
#include "prompt_cache/filter_gate.hpp"
#include "prompt_cache/response_filter.hpp"

namespace satchel::prompt_cache {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

// ------------------------------------------------------------------------------ framing

// Behind the empty line that ends the event, looking from `from` on; kNone if it does not end.
std::size_t event_end(std::string_view bytes, std::size_t from) {
  for (;;) {
    const std::size_t line = bytes.find('\n', from);
    if (line == kNone) return kNone;
    const std::string_view next = bytes.substr(line + 1, 2);
    if (next.substr(0, 1) == "\n") return line + 2;
    if (next == "\r\n") return line + 3;
    from = line + 1;
  }
}

// How many bytes of an unfinished event must be looked at again when more of it comes.
constexpr std::size_t kUndecided = 2;  // LF CR

// ------------------------------------------------------- a first look, without parsing

constexpr std::string_view kUsageName = "\"usage\"";
constexpr std::string_view kErrorName = "\"error\"";
constexpr std::size_t kNameSize = 7;  // of both

// Sixteen bytes at once: an extension of gcc and clang, for every processor they know.
using Block = char __attribute__((vector_size(16)));

Block load(const char* at) {
  Block block;
  std::memcpy(&block, at, sizeof(block));
  return block;
}

// Whether one of the names may begin in the block at `at`: four of their seven bytes agree. Reads
// kNameSize - 1 bytes behind the block.
bool may_hold_a_name(const char* at) {
  const Block second = load(at + 1);
  const Block fifth = load(at + 4);
  const Block hits = (load(at) == '"') & (load(at + 6) == '"') &
                     (((second == 'u') & (fifth == 'g')) | ((second == 'e') & (fifth == 'o')));
  std::uint64_t halves[2];
  std::memcpy(halves, &hits, sizeof(halves));
  return (halves[0] | halves[1]) != 0;
}

// What follows a member's name: a colon and the first byte of the value, 0 for neither.
char value_after(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t colon = text.find_first_not_of(kSpace);
  if (colon == kNone || text[colon] != ':') return 0;
  const std::size_t value = text.find_first_not_of(kSpace, colon + 1);
  return value == kNone ? char{0} : text[value];
}

// At the beginning of `text`: a member `usage` that is an object, or a member `error`.
bool begins_with_usage_or_error(std::string_view text) {
  const std::string_view name = text.substr(0, kNameSize);
  if (name == kUsageName) return value_after(text.substr(kNameSize)) == '{';
  return name == kErrorName && value_after(text.substr(kNameSize)) != 0;
}

// The same anywhere in an event, the names being spelled without escapes.
bool names_usage_or_error(std::string_view event) {
  std::size_t at = 0;
  while (at + kNameSize <= event.size()) {
    const bool whole_block = at + sizeof(Block) + kNameSize <= event.size();
    const std::size_t next = whole_block ? at + sizeof(Block) : event.size();
    if (!whole_block || may_hold_a_name(event.data() + at)) {
      for (; at < next; ++at) {
        if (event[at] == '"' && begins_with_usage_or_error(event.substr(at))) return true;
      }
    }
    at = next;
  }
  return false;
}

// A letter a-z spelled \u00XX: only such an escape can hide one of our names. Text that escapes all
// but ASCII has none.
bool has_escaped_letter(std::string_view event) {
  constexpr std::string_view kEscape = "\\u00";
  for (std::size_t at = event.find(kEscape); at != kNone; at = event.find(kEscape, at + 1)) {
    const std::string_view digit = event.substr(at + kEscape.size(), 1);
    if (digit == "6" || digit == "7") return true;
  }
  return false;
}

// Whether an event must be parsed. True too often costs time, false too often a wrong bill: any
// spelling of the two names that JSON allows is seen, because a letter stands there as itself or
// as an escape. OpenAI's `"usage":null` in every frame is not worth a parse.
bool worth_parsing(std::string_view event) {
  return names_usage_or_error(event) || has_escaped_letter(event);
}

// ------------------------------------------------------------------------- data lines

// The JSON object of a line; empty if it has none ("[DONE]", a comment, another field).
std::string_view data_object(std::string_view line) {
  constexpr std::string_view kData = "data:";
  if (line.substr(0, kData.size()) != kData) return {};
  const std::string_view json = core::trim(line.substr(kData.size()));
  return json.substr(0, 1) == "{" ? json : std::string_view{};
}

// Whether an event is "data: [DONE]", with which a stream ends by its protocol.
bool says_done(std::string_view event) {
  constexpr std::string_view kData = "data:";
  constexpr std::size_t kLongest = 64;
  if (event.size() > kLongest) return false;
  const std::string_view line = core::trim(event);
  return line.substr(0, kData.size()) == kData && core::trim(line.substr(kData.size())) == "[DONE]";
}

// Whether an event says that a choice has ended: it has a finish_reason that is not null. Inside a
// text the name's quote would be escaped.
bool says_finished(std::string_view event) {
  constexpr std::string_view kName = "finish_reason\"";
  for (std::size_t at = event.find(kName); at != kNone; at = event.find(kName, at + 1)) {
    const char value = value_after(event.substr(at + kName.size()));
    if (value != 0 && value != 'n') return true;
  }
  return false;
}

// Whether a frame's usage is the last one: it comes without choices, or with a finished one.
// Servers that send usage with every token end with such a frame too.
bool is_terminal(core::JsonValue frame) {
  const core::JsonValue choices = frame.member("choices");
  if (!choices.is_array()) return true;
  core::JsonCursor choice(choices);
  if (!choice.valid()) return true;
  for (; choice.valid(); choice.next()) {
    const core::JsonValue reason = choice.value().member("finish_reason");
    if (reason.exists() && !reason.is_null()) return true;
  }
  return false;
}

// ------------------------------------------------------------------------------ the filter

class SseFilter final : public ResponseFilter {
 public:
  SseFilter(UsageJudge& judge, const ResponseLimits& limits)
      : judge_(judge), max_event_bytes_(limits.max_event_bytes) {}

  // Events that are complete come out even when the bytes behind them break the limit: the error
  // is then the answer of the next call, be it write() or end().
  core::Result<std::string_view> write(std::string_view chunk) override {
    if (auto entered = gate_.enter(); !entered) return entered.take_error();
    const std::string_view bytes = with_held(chunk);
    const std::size_t whole = edit_what_may_go(bytes);
    const std::string_view out = output(bytes, whole);
    const std::size_t unfinished = bytes.size() - whole;
    if (!pending_ && unfinished > max_event_bytes_) {
      gate_.break_off("an event of more than " + std::to_string(max_event_bytes_) +
                      " bytes in the response does not end");
      if (out.empty()) return gate_.broken();
      return out;
    }
    hold(bytes, whole);
    gate_.leave();
    return out;
  }

  core::Result<std::string_view> end() override {
    if (auto entered = gate_.enter(); !entered) return entered.take_error();
    const std::string_view rest = with_held({});
    std::size_t whole = edit_what_may_go(rest);
    if (!pending_ && edit_event(rest, whole, rest.size())) whole = rest.size();
    const std::string_view out = output(rest, whole);
    if (pending_) {
      hold(rest, whole);
      gate_.leave();
    } else {
      gate_.leave_for_good();
    }
    return out;
  }

  [[nodiscard]] const UsageSeen& seen() const override { return seen_; }
  [[nodiscard]] bool pending() const override { return pending_; }

 private:
  // The unfinished event and what follows it. The caller's own bytes where nothing is held.
  std::string_view with_held(std::string_view chunk) {
    held_.erase(0, given_);
    given_ = 0;
    if (held_.empty()) return chunk;
    held_.append(chunk);
    return held_;
  }

  void hold(std::string_view bytes, std::size_t whole) {
    const std::size_t unfinished = bytes.size() - whole;
    searched_ = pending_ ? 0 : unfinished - std::min(unfinished, kUndecided);
    if (held_.empty()) {
      held_.assign(bytes.substr(whole));
    } else {
      given_ = whole;  // the caller may be looking at them until the next call
    }
  }

  // What is kept back while the judge waits is bounded: a host that may not wait here can do
  // without the answer, but not without the memory.
  std::size_t edit_what_may_go(std::string_view bytes) {
    begin_output();
    std::size_t whole = 0;
    if (!pending_ || !judge_.must_wait()) whole = edit_events(bytes, 0);
    if (pending_ && bytes.size() - whole > 2 * max_event_bytes_) {
      judge_.give_up_waiting();
      whole = edit_events(bytes, whole);
    }
    return whole;
  }

  // Edits all events from `begin` on that end in `bytes`, up to one that must wait, and says where
  // the last of them ends.
  std::size_t edit_events(std::string_view bytes, std::size_t begin) {
    pending_ = false;
    std::size_t end = event_end(bytes, std::max(begin, searched_));
    for (; end != kNone; end = event_end(bytes, end)) {
      if (!edit_event(bytes, begin, end)) break;
      finished_ = finished_ || says_finished(bytes.substr(begin, end - begin));
      begin = end;
    }
    return begin;
  }

  // An event that is not UTF-8 passes as it is, whatever its lines say, as in the reference. False:
  // it must wait, and is as if untouched.
  bool edit_event(std::string_view bytes, std::size_t begin, std::size_t end) {
    const std::string_view event = bytes.substr(begin, end - begin);
    seen_.done |= says_done(event);
    if (!worth_parsing(event)) return true;
    if (!simdjson::validate_utf8(event.data(), event.size())) return true;
    const std::size_t edited_before = edited_.size();
    const std::size_t copied_before = copied_;
    for (std::size_t line = begin; line < end;) {
      const std::size_t newline = std::min(bytes.find('\n', line), end);
      edit_frame(bytes, data_object(bytes.substr(line, newline - line)));
      if (pending_) {
        edited_.resize(edited_before);
        copied_ = copied_before;
        return false;
      }
      line = newline + 1;
    }
    return true;
  }

  // `json` is a part of `bytes`.
  void edit_frame(std::string_view bytes, std::string_view json) {
    if (json.empty() || !tape_.read(json)) return;
    const core::JsonValue frame = tape_.root();
    if (frame.member("error").exists()) seen_.error_frame = true;
    const core::JsonValue usage = frame.member("usage");
    if (!usage.is_object()) return;
    const bool terminal = finished_ || is_terminal(frame);
    pending_ = terminal && judge_.must_wait();
    if (pending_) return;
    edits_.clear();
    edit_usage(usage, judge_.judge(terminal), edits_, seen_);
    if (edits_.empty()) return;
    edits_.apply(json, edited_frame_);
    const auto begin = static_cast<std::size_t>(json.data() - bytes.data());
    edited_.append(bytes, copied_, begin - copied_);
    edited_.append(edited_frame_);
    copied_ = begin + json.size();
  }

  void begin_output() {
    edited_.clear();
    copied_ = 0;
  }

  // The first `whole` bytes as edited.
  std::string_view output(std::string_view bytes, std::size_t whole) {
    if (copied_ == 0) return bytes.substr(0, whole);
    edited_.append(bytes, copied_, whole - copied_);
    return edited_;
  }

  UsageJudge& judge_;
  std::size_t max_event_bytes_;
  FilterGate gate_;
  UsageSeen seen_;

  // An unfinished event, or one that must wait and what follows it, behind `given_` bytes that were
  // given out.
  std::string held_;
  bool pending_ = false;
  std::size_t given_ = 0;
  std::size_t searched_ = 0;  // bytes of the unfinished event known not to end it

  // An event said that a choice has ended: usage behind it is the last, also where it comes beside
  // a choice that says nothing of an end. OpenRouter sends it so.
  bool finished_ = false;

  std::string edited_;  // output where something was edited, up to `copied_` of the input
  std::size_t copied_ = 0;
  std::string edited_frame_;
  core::JsonTape tape_;
  core::JsonEdits edits_;
};

}  // namespace

std::unique_ptr<ResponseFilter> make_sse_filter(UsageJudge& judge, const ResponseLimits& limits) {
  return std::make_unique<SseFilter>(judge, limits);
}

}  // namespace satchel::prompt_cache
