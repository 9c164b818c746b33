// A JSON response: held until its end, because its length and its usage are known only then.

#include <cstddef>
#include <string>

#include "core/json_edit.hpp"
#include "core/json_tape.hpp"
#include "prompt_cache/filter_gate.hpp"
#include "prompt_cache/response_filter.hpp"

namespace satchel::prompt_cache {
namespace {

class JsonFilter final : public ResponseFilter {
 public:
  JsonFilter(UsageJudge& judge, const ResponseLimits& limits)
      : judge_(judge), max_body_bytes_(limits.max_body_bytes) {}

  core::Result<std::string_view> write(std::string_view chunk) override {
    if (auto entered = gate_.enter(); !entered) return entered.take_error();
    const std::string_view out = take(chunk);
    gate_.leave();
    return out;
  }

  core::Result<std::string_view> end() override {
    if (auto entered = gate_.enter(); !entered) return entered.take_error();
    const std::string_view out = passing_ ? std::string_view{} : edited();
    if (pending_) {
      gate_.leave();
      return std::string_view{};
    }
    gate_.leave_for_good();
    return out;
  }

  [[nodiscard]] const UsageSeen& seen() const override { return seen_; }
  [[nodiscard]] bool pending() const override { return pending_; }

 private:
  std::string_view take(std::string_view chunk) {
    if (passing_) {
      std::string().swap(held_);  // given out by the call before
      return chunk;
    }
    if (begins_as_no_object(chunk)) passing_ = true;
    if (passing_ && held_.empty()) return chunk;
    held_.append(chunk);
    if (held_.size() > max_body_bytes_) passing_ = true;
    return passing_ ? std::string_view(held_) : std::string_view{};
  }

  // Only an object has a usage: what begins otherwise (an error page, a list) need not wait.
  bool begins_as_no_object(std::string_view chunk) {
    if (begun_) return false;
    const std::size_t first = chunk.find_first_not_of(" \t\r\n");
    begun_ = first != std::string_view::npos;
    return begun_ && chunk[first] != '{';
  }

  std::string_view edited() {
    if (pending_ && judge_.must_wait()) return {};
    pending_ = false;
    if (!tape_.read(held_)) return held_;
    const core::JsonValue usage = tape_.root().member("usage");
    if (!usage.is_object()) return held_;
    pending_ = judge_.must_wait();
    if (pending_) return {};
    core::JsonEdits edits;
    edit_usage(usage, judge_.judge(/*terminal=*/true), edits, seen_);
    if (edits.empty()) return held_;
    edits.apply(held_, edited_);
    return edited_;
  }

  UsageJudge& judge_;
  std::size_t max_body_bytes_;
  FilterGate gate_;
  UsageSeen seen_;
  bool begun_ = false;    // a byte that is no white space came
  bool passing_ = false;  // no object, or too long: nothing is held any more
  bool pending_ = false;
  std::string held_;
  std::string edited_;
  core::JsonTape tape_;
};

}  // namespace

std::unique_ptr<ResponseFilter> make_json_filter(UsageJudge& judge, const ResponseLimits& limits) {
  return std::make_unique<JsonFilter>(judge, limits);
}

}  // namespace satchel::prompt_cache
